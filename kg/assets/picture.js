// Draws the graph in #data and shows the evidence of what is clicked. All text of the graph reaches
// the page through textContent only, so that nothing a document says can become markup.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const nodes = new Map(data.nodes.map((node) => [node.id, node]));
  const links = new Map(data.links.map((link) => [link.id, link]));
  const types = new Map(data.types.map((type) => [type.name, type]));
  for (const node of data.nodes) for (const fact of node.facts) links.set(fact.id, fact);
  const PREDICTED = "#7b2fb5";

  // ------------------------------------------------------------------------------- elements
  function el(tag, options, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(options || {})) {
      if (key === "click") element.addEventListener("click", value);
      else if (key === "text") element.textContent = value;
      else element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }
  const percent = (score) => score.toFixed(2);
  const plural = (count, word, words) => `${count} ${count === 1 ? word : words || word + "s"}`;

  // --------------------------------------------------------------------------------- legend
  // Stands before the layout, which measures what room is left.
  const SVG = "http://www.w3.org/2000/svg";
  const OUTLINE = {
    "ellipse": "M7 1a6 6 0 1 0 .01 0z", "round-rectangle": "M2 2h10v10h-10z",
    "diamond": "M7 0l7 7-7 7-7-7z", "triangle": "M7 1l7 12h-14z", "hexagon": "M3.5 1h7l3.5 6-3.5 6h-7l-3.5-6z",
    "vee": "M0 1l7 4 7-4-7 13z", "pentagon": "M7 0l7 5.3-2.7 8.2h-8.6l-2.7-8.2z",
    "star": "M7 0l2 5h5l-4 3.2 1.6 5.3-4.6-3.2-4.6 3.2 1.6-5.3-4-3.2h5z",
  };
  function symbol(shape, color) {
    const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
    for (const [key, value] of Object.entries({ width: 14, height: 14, viewBox: "0 0 14 14",
      "aria-hidden": "true" })) svg.setAttribute(key, value);
    path.setAttribute("d", OUTLINE[shape]);
    path.setAttribute("fill", color);
    path.setAttribute("stroke", "#1c2126");
    path.setAttribute("stroke-opacity", ".55");
    svg.append(path);
    return svg;
  }
  function dash() {
    const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
    for (const [key, value] of Object.entries({ width: 22, height: 14, viewBox: "0 0 22 14",
      "aria-hidden": "true" })) svg.setAttribute(key, value);
    path.setAttribute("d", "M0 7h22");
    path.setAttribute("stroke", PREDICTED);
    path.setAttribute("stroke-width", "2");
    path.setAttribute("stroke-dasharray", "5 3");
    svg.append(path);
    return svg;
  }
  function entry(picture, name, count, elements) {
    const box = el("input", { type: "checkbox", checked: "" });
    box.addEventListener("change", () => elements().toggleClass("off", !box.checked));
    $("legend").append(el("label", {}, box, picture, el("span", { text: name }),
      el("span", { class: "count", text: count })));
  }
  for (const type of data.types) {
    entry(symbol(type.shape, type.color), type.name || "type unknown", type.count,
      () => cy.nodes().filter((node) => node.data("type") === type.name));
  }
  const predicted = data.links.filter((link) => link.predicted).length;
  if (predicted) entry(dash(), "predicted link", predicted, () => cy.edges(".predicted"));

  // --------------------------------------------------------------------------------- layout
  // Forces after Fruchterman and Reingold (1991): ends of a link attract with d²/k, all nodes repel
  // with k²/d, steps shrink. Nothing is random, so the picture is the same on every load. The plane
  // takes the shape of the window; then boxes of node and name are pushed apart where they overlap.
  function layOut(nodes, links, width, height) {
    const count = nodes.length, k = 1 / Math.sqrt(count || 1);
    const x = new Float64Array(count), y = new Float64Array(count), rank = new Map();
    nodes.forEach((node, i) => {
      // A sunflower, nodes with most links in the middle.
      const angle = i * 2.399963, radius = 0.5 * Math.sqrt((i + 0.5) / count);
      x[i] = radius * Math.cos(angle);
      y[i] = radius * Math.sin(angle);
      rank.set(node.id, i);
    });
    const pairs = links.map((link) => [rank.get(link.head), rank.get(link.tail)])
      .filter(([i, j]) => i !== j);
    const dx = new Float64Array(count), dy = new Float64Array(count);
    const rounds = 600;
    for (let round = 0; round < rounds; round++) {
      dx.fill(0);
      dy.fill(0);
      for (let i = 0; i < count; i++) {
        for (let j = i + 1; j < count; j++) {
          const u = x[i] - x[j], v = y[i] - y[j], square = Math.max(u * u + v * v, 1e-8);
          const force = (k * k) / square;
          dx[i] += u * force; dy[i] += v * force;
          dx[j] -= u * force; dy[j] -= v * force;
        }
        // A pull to the middle, so that parts without a link between them stay together: with it
        // and the repulsion alone, nodes fill a disc of radius 1 / √2 evenly.
        dx[i] -= x[i] * 2;
        dy[i] -= y[i] * 2;
      }
      for (const [i, j] of pairs) {
        const u = x[i] - x[j], v = y[i] - y[j], force = Math.sqrt(u * u + v * v) / k;
        dx[i] -= u * force; dy[i] -= v * force;
        dx[j] += u * force; dy[j] += v * force;
      }
      const step = 0.08 * (1 - round / rounds) ** 1.5 + 0.0005;
      for (let i = 0; i < count; i++) {
        const length = Math.hypot(dx[i], dy[i]) || 1, move = Math.min(length, step) / length;
        x[i] += dx[i] * move;
        y[i] += dy[i] * move;
      }
    }
    const aspect = Math.max(0.5, Math.min(2.2, width / (height || 1))), shape = Math.sqrt(aspect);
    const range = (values) => Math.max(...values) - Math.min(...values) || 1;
    const side = Math.sqrt(count * 13000), wide = range(x), high = range(y);
    const boxes = nodes.map((node, i) => {
      const font = fontOf(node), letters = short(node.name).length * font * 0.56;
      const lines = Math.ceil(letters / 110);
      return {
        x: (x[i] / wide) * side * shape, y: ((y[i] / high) * side) / shape,
        w: Math.max(sizeOf(node), Math.min(letters, 116)) + 8,
        h: sizeOf(node) + lines * font * 1.15 + 8,
      };
    });
    for (let round = 0, moved = true; moved && round < 300; round++) {
      moved = false;
      for (let i = 0; i < count; i++) {
        for (let j = i + 1; j < count; j++) {
          const a = boxes[i], b = boxes[j], u = b.x - a.x, v = b.y - a.y;
          const over = (a.w + b.w) / 2 - Math.abs(u), under = (a.h + b.h) / 2 - Math.abs(v);
          if (over <= 0 || under <= 0) continue;
          moved = true;
          if (over < under * aspect) {
            const push = (over / 2) * (u < 0 ? -1 : 1);
            a.x -= push; b.x += push;
          } else {
            const push = (under / 2) * (v < 0 ? -1 : 1);
            a.y -= push; b.y += push;
          }
        }
      }
    }
    // Stretch the shorter side to the shape of the window, which cannot make boxes meet again.
    const across = range(boxes.map((box) => box.x)), down = range(boxes.map((box) => box.y));
    const right = Math.min(2, Math.max(1, (down * aspect) / across));
    const below = Math.min(2, Math.max(1, across / aspect / down));
    return new Map(nodes.map((node, i) =>
      [node.id, { x: boxes[i].x * right, y: boxes[i].y * below }]));
  }

  // ---------------------------------------------------------------------------------- graph
  const short = (name) => (name.length > 42 ? name.slice(0, 40) + "…" : name);
  const sizeOf = (node) => 15 + 6 * Math.sqrt(node.degree);
  const fontOf = (node) => 11 + Math.min(9, 1.6 * Math.sqrt(Math.max(0, node.degree - 1)));
  const places = layOut(data.nodes, data.links, $("canvas").clientWidth, $("canvas").clientHeight);
  const cy = cytoscape({
    container: $("canvas"),
    elements: [
      ...data.nodes.map((node) => ({
        group: "nodes",
        data: {
          id: node.id, label: short(node.name), type: node.type,
          color: types.get(node.type).color, shape: types.get(node.type).shape,
          size: sizeOf(node), font: fontOf(node),
        },
        position: places.get(node.id),
      })),
      ...data.links.map((link) => ({
        group: "edges",
        classes: link.predicted ? "predicted" : "",
        data: {
          id: link.id, source: link.head, target: link.tail,
          label: link.predicted ? `${link.label} (predicted)` : link.label,
          width: link.predicted ? 1.6 : 1 + 1.6 * link.score,
        },
      })),
    ],
    style: [
      { selector: "node", style: {
        "background-color": "data(color)", "shape": "data(shape)", "width": "data(size)",
        "height": "data(size)", "border-width": 1.5, "border-color": "#1c2126",
        "border-opacity": 0.55, "label": "data(label)", "font-size": "data(font)", "color": "#1c2126",
        "font-family": 'system-ui, "Noto Sans", "DejaVu Sans", sans-serif',
        "text-valign": "bottom", "text-margin-y": 3, "text-wrap": "wrap", "text-max-width": 110,
        "text-outline-color": "#ffffff", "text-outline-width": 2.5, "min-zoomed-font-size": 6,
      } },
      { selector: "edge", style: {
        "curve-style": "bezier", "width": "data(width)", "line-color": "#9aa4af",
        "target-arrow-color": "#9aa4af", "target-arrow-shape": "triangle", "arrow-scale": 0.8,
        "label": "data(label)", "font-size": 10, "color": "#3d464f", "text-rotation": "autorotate",
        "text-outline-color": "#ffffff", "text-outline-width": 2, "min-zoomed-font-size": 7.5,
      } },
      { selector: "edge.predicted", style: {
        "line-style": "dashed", "line-color": PREDICTED, "target-arrow-color": PREDICTED,
        "color": PREDICTED,
      } },
      { selector: ".faded", style: { "opacity": 0.15 } },
      { selector: ".off", style: { "display": "none" } },
      { selector: "edge.near", style: { "min-zoomed-font-size": 0, "z-index": 8 } },
      { selector: "node.near", style: { "min-zoomed-font-size": 0, "z-index": 9 } },
      // Above the nodes, so that the label of a short link can be read.
      { selector: "edge.chosen", style: { "z-index-compare": "manual", "font-size": 13 } },
      { selector: ".chosen", style: {
        "border-width": 4, "border-opacity": 1, "border-color": "#0550ae", "line-color": "#0550ae",
        "target-arrow-color": "#0550ae", "z-index": 10,
      } },
    ],
    minZoom: 0.05, maxZoom: 4, boxSelectionEnabled: false, autounselectify: true,
    layout: { name: "preset", fit: false },
  });
  cy.fit(undefined, 30);

  // ---------------------------------------------------------------------------------- panel
  const relationOf = (link) => link.label + (link.predicted ? " (predicted)" : "");
  function rowFor(link, from) {
    const forward = link.head === from;
    const other = forward ? link.tail : link.head;
    const text = link.value !== undefined ? link.value : nodes.get(other).name;
    return el("button", { type: "button", class: "row", click: () => choose(link.id) },
      el("span", { class: "relation", text: `${forward ? "→" : "←"} ${relationOf(link)} ` }),
      el("span", { text }));
  }
  function source(item) {
    const quote = el("p");
    for (const [text, role] of item.parts) {
      quote.append(role ? el("mark", { class: role, title: role, text }) : text);
    }
    const where = item.title || item.uri;
    const meta = [item.harvester, item.model].filter(Boolean).join(", ");
    return el("blockquote", {},
      item.negated ? el("span", { class: "badge negated", text: "denied" }) : null,
      item.hedged ? el("span", { class: "badge hedged", text: "hedged" }) : null,
      item.parts.length ? quote : null,
      where ? el("p", { class: "soft", text: item.title && item.uri && item.title !== item.uri
        ? `${item.title} · ${item.uri}` : where }) : null,
      el("p", { class: "soft", text: `score ${percent(item.score)} · ${meta}` }));
  }
  function showLink(link) {
    const end = (id) => el("button", { type: "button", class: "row", click: () => choose(id),
      text: nodes.get(id).name });
    const count = link.sources.length + link.more;
    $("detail").replaceChildren(
      el("h2", { text: link.label }),
      link.predicted ? el("span", { class: "badge predicted", text: "predicted" }) : "",
      el("div", { class: "ends" }, end(link.head),
        el("p", { class: "relation", text: `↓ ${link.relation}` }),
        link.value !== undefined ? el("p", { class: "row", text: link.value }) : end(link.tail)),
      el("p", { class: "soft", text: link.predicted
        ? `score ${percent(link.score)} · ${link.model || "link prediction"} · no document says so`
        : `score ${percent(link.score)} · ${plural(link.support, "independent source")}` }),
      ...(count ? [el("h3", { text: plural(count, "piece") + " of evidence" })] : []),
      ...link.sources.map(source),
      link.more ? el("p", { class: "soft", text: `… and ${link.more} more` }) : "",
      el("p", { class: "soft" }, el("code", { text: link.id })));
  }
  function showNode(node) {
    const own = data.links.filter((link) => link.head === node.id || link.tail === node.id);
    $("detail").replaceChildren(
      el("h2", { text: node.name }),
      el("p", { class: "soft", text: node.types.length ? node.types.join(" · ") : "type unknown" }),
      node.description ? el("p", { text: node.description }) : "",
      node.aliases.length
        ? el("p", { class: "soft", text: `also: ${node.aliases.join("; ")}` }) : "",
      ...(node.facts.length ? [el("h3", { text: "Values" })] : []),
      ...node.facts.map((fact) => rowFor(fact, node.id)),
      ...(own.length ? [el("h3", { text: "Links" })] : []),
      ...own.map((link) => rowFor(link, node.id)),
      el("p", { class: "soft" }, el("code", { text: node.id })));
  }
  function mark(id) {
    cy.elements().removeClass("faded near chosen");
    const element = id === null ? cy.collection() : cy.getElementById(id);
    const shown = element.empty() && links.has(id) ? cy.getElementById(links.get(id).head) : element;
    if (shown.empty()) return shown;
    const near = shown.isNode() ? shown.closedNeighborhood() : shown.union(shown.connectedNodes());
    cy.elements().difference(near).addClass("faded");
    near.addClass("near");
    shown.addClass("chosen");
    return near;
  }
  function choose(id, { centre = false } = {}) {
    const known = nodes.has(id) || links.has(id);
    $("panel").hidden = !known;
    if (nodes.has(id)) showNode(nodes.get(id));
    else if (known) showLink(links.get(id));
    cy.resize();
    const near = mark(known ? id : null);
    if (known) {
      $("panel").scrollTop = 0;
      if (centre && !near.empty()) {
        cy.fit(near, 80);
        if (cy.zoom() > 1.4) { cy.zoom(1.4); cy.center(near); }
      } else if (!near.empty()) {
        // The panel may have opened over what was clicked.
        const box = near.filter(".chosen").renderedBoundingBox();
        if (box.x2 > cy.width() || box.y2 > cy.height()) cy.center(near);
      }
    }
    history.replaceState(null, "", known ? `#${id}` : location.pathname + location.search);
  }
  cy.on("tap", "node, edge", (event) => choose(event.target.id()));
  cy.on("tap", (event) => { if (event.target === cy) choose(null); });
  $("close").addEventListener("click", () => choose(null));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { $("hits").replaceChildren(); choose(null); }
  });

  // --------------------------------------------------------------------------------- search
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const index = data.nodes.map((node) => [node, [node.name, ...node.aliases].map(plain)]);
  const NO_MATCH = 3;
  const place = (names, words) => {
    // Equal, begins a word, stands in a word; the better linked first among equals.
    if (names.some((name) => name === words)) return 0;
    if (names.some((name) => (" " + name).includes(" " + words))) return 1;
    return names.some((name) => name.includes(words)) ? 2 : NO_MATCH;
  };
  function find() {
    const words = plain($("query").value.trim());
    const found = words === "" ? [] : index.map(([node, names]) => [place(names, words), node])
      .filter(([rank]) => rank < NO_MATCH).sort((one, other) => one[0] - other[0]).slice(0, 8);
    const items = found.map(([, node]) => el("li", {}, el("button", { type: "button", class: "row",
      click: () => pick(node) }, el("span", { class: "type", text: node.type }), node.name)));
    if (words !== "" && !items.length) {
      items.push(el("li", { class: "row soft", text: "nothing drawn has this name" }));
    }
    $("hits").replaceChildren(...items);
    return found.map(([, node]) => node);
  }
  function pick(node) {
    $("hits").replaceChildren();
    $("query").value = node.name;
    choose(node.id, { centre: true });
  }
  $("query").addEventListener("input", find);
  $("query").addEventListener("keydown", (event) => {
    if (event.key === "Enter") { const found = find(); if (found.length) pick(found[0]); }
  });

  // ----------------------------------------------------------------------------------- rest
  const counts = data.counts;
  const part = (shown, all, word, words) =>
    shown === all ? plural(all, word, words) : `${shown} of ${plural(all, word, words)}`;
  $("counts").textContent = [
    part(data.nodes.length, counts.linked, "entity", "entities"),
    ...(counts.entities > counts.linked ? [`${counts.entities - counts.linked} without a link`] : []),
    plural(counts.triples, "triple"),
    plural(counts.predictions, "prediction"),
    plural(counts.documents, "document"),
  ].join(" · ");
  $("in").addEventListener("click", () => zoom(1.3));
  $("out").addEventListener("click", () => zoom(1 / 1.3));
  $("fit").addEventListener("click", () => cy.fit(undefined, 30));
  window.addEventListener("resize", () => { cy.resize(); if ($("panel").hidden) cy.fit(undefined, 30); });
  function zoom(factor) {
    const middle = { x: cy.width() / 2, y: cy.height() / 2 };
    cy.zoom({ level: cy.zoom() * factor, renderedPosition: middle });
  }
  const wanted = () => { if (location.hash.length > 1) choose(location.hash.slice(1), { centre: true }); };
  window.addEventListener("hashchange", wanted);
  wanted();
  document.documentElement.dataset.drawn = `${cy.nodes().length}/${cy.edges().length}`;
})();
