"""The picture: complete, offline, safe against the text it shows."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kg
from kg.explanation import quote_parts
from kg.ids import entity_id, triple_id
from kg.picture import EVIDENCE_PER_LINK, MARKS, OTHER, Link, Picture, gather, render, show
from kg.records import Entity
from kg.store.protocol import GraphStore
from tests.kg.sample_graph import ACADEMY, EVIL_HEAD, MARIE, PARIS, PIERRE, WARSAW, fill


@pytest.fixture
def graph() -> Iterator[GraphStore]:
    store = kg.open_graph("memory://")
    fill(store)
    yield store
    store.close()


class Page(HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.scripts:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self.lasttag = ""

    @property
    def data(self) -> dict[str, Any]:
        texts = [text for attributes, text in self.scripts if attributes.get("id") == "data"]
        assert len(texts) == 1
        found: dict[str, Any] = json.loads(texts[0])
        return found


def test_the_page_holds_what_the_graph_holds(graph: GraphStore) -> None:
    data = Page(render(gather(graph))).data
    assert data["counts"] == {
        "entities": 7,
        "linked": 6,
        "triples": 5,
        "predictions": 1,
        "documents": 3,
    }
    assert ACADEMY not in {node["id"] for node in data["nodes"]}  # only a denied link names it
    links = {(link["head"], link["label"], link["tail"]): link for link in data["links"]}
    assert len(links) == 5
    born = links[MARIE, "born in", WARSAW]
    assert not born["predicted"]
    assert [source["hedged"] for source in born["sources"]] == [False, True]
    assert born["sources"][0]["parts"] == [
        ["𝒳 ", ""],
        ["Marie Curie", "head"],
        [" was born in ", ""],
        ["Warsaw", "tail"],
        [".", ""],
    ]
    assert (born["sources"][0]["title"], born["sources"][0]["uri"]) == (
        "Marie <i>Curie</i>",
        "marie.txt",
    )


def test_a_predicted_link_is_marked_and_has_no_source(graph: GraphStore) -> None:
    links = [link for link in gather(graph).links if link.model is not None]
    assert [(link.head, link.relation, link.tail) for link in links] == [
        (PIERRE, "BORN_IN", WARSAW)
    ]
    assert not links[0].sources


def test_the_quote_of_an_inverse_phrase_marks_head_and_tail_as_the_triple_has_them(
    graph: GraphStore,
) -> None:
    link = next(link for link in gather(graph).links if link.relation == "EMPLOYER")
    assert (link.head, link.tail) == (MARIE, PARIS)
    source = link.sources[0]
    assert source.head_span is not None
    assert source.quote[slice(*source.head_span)] == "Marie Curie"
    assert source.tail_span is not None
    assert source.quote[slice(*source.tail_span)] == "University of Paris"


def test_literals_are_listed_with_their_entity(graph: GraphStore) -> None:
    nodes = {node["id"]: node for node in Page(render(gather(graph))).data["nodes"]}
    assert [(fact["label"], fact["value"]) for fact in nodes[MARIE]["facts"]] == [
        ("date of birth", "1867-11-07")
    ]


def test_types_are_the_roots_and_the_untyped_come_last(graph: GraphStore) -> None:
    types = Page(render(gather(graph))).data["types"]
    assert [(type["name"], type["count"]) for type in types] == [
        ("Person", 2),
        ("Organization", 1),
        ("Place", 1),
        ("", 2),
    ]
    assert (types[-1]["color"], types[-1]["shape"]) == OTHER


def test_more_types_than_marks_share_the_mark_of_others() -> None:
    entities = tuple(Entity(f"e_{n}", str(n), (f"T{n:02}",)) for n in range(len(MARKS) + 3))
    types = Page(render(Picture("x", entities, ()))).data["types"]
    assert [(type["color"], type["shape"]) for type in types] == [*MARKS, OTHER, OTHER, OTHER]


def test_the_limit_keeps_those_with_most_links(graph: GraphStore) -> None:
    picture = gather(graph, limit=2)
    assert [entity.id for entity in picture.entities] == [MARIE, PIERRE]
    assert {link.relation for link in picture.links} == {"SPOUSE"}
    assert picture.counts["entities"] == 7


def test_the_page_asks_the_network_for_nothing(graph: GraphStore) -> None:
    page = Page(render(gather(graph)))
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form", "img"}
        assert not {"src", "href", "srcset", "action", "data"} & set(attributes)
    style = (Path(kg.__file__).parent / "assets" / "picture.css").read_text(encoding="utf-8")
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_lets_only_our_scripts_run(graph: GraphStore) -> None:
    page = Page(render(gather(graph)))
    policy = next(
        attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes
    )
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "'unsafe-eval'" not in policy
    script = policy.partition("script-src")[2].partition(";")[0].split()
    running = [text for attributes, text in page.scripts if "type" not in attributes]
    hashes = [f"'sha256-{b64encode(sha256(t.encode()).digest()).decode()}'" for t in running]
    assert script == hashes


def test_hostile_text_stays_text(graph: GraphStore) -> None:
    page = render(gather(graph))
    parsed = Page(page)
    assert len(parsed.scripts) == 3
    assert "alert(1)</script>" not in page
    assert EVIL_HEAD in {node["name"] for node in parsed.data["nodes"]}
    tags = {tag for tag, _ in parsed.tags}
    assert "b" not in tags
    assert "i" not in tags
    hostile = Picture("</title><script>alert(3)</script>", (), ())
    assert "<script>alert(3)" not in render(hostile)
    assert html.escape(hostile.title) in render(hostile)


@given(st.text(max_size=60))
def test_any_name_comes_back_as_it_is(name: str) -> None:
    page = Page(render(Picture("x", (Entity("e_1", name),), ())))
    assert page.data["nodes"][0]["name"] == name
    assert len(page.scripts) == 3


def test_the_script_never_writes_markup() -> None:
    script = (Path(kg.__file__).parent / "assets" / "picture.js").read_text(encoding="utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in script
    assert not re.search(r"\bnew Function\b|\bfetch\(|XMLHttpRequest|Math\.random|Date\b", script)


def test_long_evidence_is_cut_and_counted(graph: GraphStore) -> None:
    source = next(iter(gather(graph).links)).sources[:1]
    link = Link("t_1", "e_1", "e_1", "R", "r", 0.5, 9, sources=source * (EVIDENCE_PER_LINK + 3))
    data = Page(render(Picture("x", (Entity("e_1", "a"),), (link,)))).data
    assert (len(data["links"][0]["sources"]), data["links"][0]["more"]) == (EVIDENCE_PER_LINK, 3)


@given(
    st.text(max_size=30),
    st.lists(
        st.tuples(
            st.sampled_from(["head", "tail"]),
            st.none() | st.tuples(st.integers(0, 40), st.integers(0, 40)),
        ),
        max_size=3,
    ),
)
def test_the_parts_of_a_quote_are_the_quote(
    quote: str, marks: list[tuple[str, tuple[int, int] | None]]
) -> None:
    parts = quote_parts(quote, marks)
    assert "".join(text for text, _ in parts) == quote
    assert all(text for text, _ in parts)


def test_show_writes_the_same_bytes_every_time(graph: GraphStore, tmp_path: Path) -> None:
    first = show(graph, tmp_path / "a.html").read_bytes()
    assert first == show(graph, tmp_path / "b.html").read_bytes()
    assert b"\r\n" not in first


def test_an_empty_graph_has_a_picture() -> None:
    data = Page(render(gather(kg.open_graph("memory://")))).data
    assert (data["nodes"], data["links"], data["types"]) == ([], [], [])


# ------------------------------------------------------------------------------- real browser


def _browser() -> str | None:
    named = os.environ.get("SHEAF_TEST_CHROMIUM")
    return named or shutil.which("chromium") or shutil.which("google-chrome")


def _dom(page: Path, fragment: str, profile: Path) -> str:
    browser = _browser()
    assert browser is not None
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={profile}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            f"{page.as_uri()}#{fragment}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.browser
@pytest.mark.skipif(
    _browser() is None,
    reason="no Chromium here: install it, or name one in SHEAF_TEST_CHROMIUM",
)
def test_a_browser_draws_it_and_shows_the_evidence(graph: GraphStore, tmp_path: Path) -> None:
    page = show(graph, tmp_path / "graph.html")
    born = triple_id(MARIE, "BORN_IN", WARSAW)
    dom = _dom(page, born, tmp_path / "profile")
    assert 'data-drawn="6/5"' in dom  # nodes / edges
    panel = dom.partition('id="detail"')[2].partition("</aside>")[0]
    assert '<mark class="head" title="head">Marie Curie</mark>' in panel
    assert '<mark class="tail" title="tail">Warsaw</mark>' in panel
    assert "Marie &lt;i&gt;Curie&lt;/i&gt; · marie.txt" in panel
    assert ">hedged<" in panel
    evil = _dom(page, entity_id(EVIL_HEAD), tmp_path / "profile2")
    assert html.escape(EVIL_HEAD, quote=False) in evil.partition('id="detail"')[2]
