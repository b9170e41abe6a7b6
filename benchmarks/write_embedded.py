"""Writing a million triples into the embedded store, and the first question afterwards.

```
python -m benchmarks.write_embedded --json
```

A synthetic graph (`benchmarks.synthetic`: documents, chunks, mentions, evidence with true quotes
and spans) is written through the public API. Then new processes open it and ask one question in
Cypher: the first has to derive the projection, later ones find it. Peers write a part of the same
triples, without texts, quotes or runs, because they hold none: LlamaIndex's embedded
property-graph store and rdflib, both in memory with one file at the end.

Times are wall clock, and beside the main ones processor time, which says more on a machine that
others use as well. They are of one machine at one moment: read the ratios.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.synthetic import CONFIG, SENTENCES, batches
from kg import open_graph

__all__ = ["main", "measure"]

#: Triples that the peers write; LlamaIndex keeps all in one JSON file.
PEER_TRIPLES: Final = 50_000
#: Documents written one at a time, as a harvest does.
SINGLE_DOCUMENTS: Final = 500
#: Triples after which the cost of the next ones is looked at.
SIZES: Final = (100_000, 1_000_000, 3_000_000)
QUESTION: Final = "MATCH (e:Entity)-[r:IS_3]->(t:Entity) RETURN count(*)"
SOURCES_QUESTION: Final = "MATCH (c:Chunk)-[s:STATES]->(e:Entity) RETURN count(*)"
ASK: Final = """
import resource, sys, time
began = time.perf_counter()
from kg import open_graph
from kg.store.protocol import Limits
graph = open_graph(sys.argv[1], create=False)
graph.read(sys.argv[2], limits=Limits(seconds=600))
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(time.perf_counter() - began, time.process_time(), memory)
"""


def measure(triples: int, *, peers: bool, sources: bool = False) -> dict[str, Any]:
    """Return everything that is measured for a graph of this many triples.

    Args:
        triples: pieces of evidence to write; nearly all state a triple of their own.
        peers: whether the peers write, too.
        sources: whether a question about sources is asked as well.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "million.kg"
        result: dict[str, Any] = {
            "triples": triples,
            "machine": platform.machine(),
            "python": platform.python_version(),
            **_write(folder, triples),
        }
        result |= _ask(folder, sources=sources)
        result |= _single(folder)
        if peers:
            result["peers"] = _peers(Path(place), min(triples, PEER_TRIPLES))
            ours = result["seconds_per_million"] / 1e6
            for name, peer in result["peers"].items():
                result[f"times_faster_than_{name}"] = round(peer["seconds_per_triple"] / ours, 2)
    return result


def _write(folder: Path, triples: int) -> dict[str, Any]:
    graph = open_graph(folder)
    run = graph.begin_run(CONFIG).id
    made = written = 0.0
    count = mentions = 0
    windows: list[tuple[int, float]] = []
    began, processor = time.perf_counter(), time.process_time()
    source = batches(triples)
    while True:
        start = time.perf_counter()
        batch = next(source, None)
        if batch is None:
            break
        ready = time.perf_counter()
        graph.write(batch, run=run)
        done = time.perf_counter()
        made, written = made + ready - start, written + done - ready
        count, mentions = count + len(batch.evidence), mentions + len(batch.mentions)
        windows.append((count, done - ready))
    graph.finish_run(run, {"documents": count})
    graph.close()
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    per_triple = _cost_at(windows)
    return {
        "evidence": count,
        "mentions": mentions,
        "seconds": round(seconds, 2),
        # Everything: the records are made, checked and written, and the file is closed.
        "seconds_per_million": round(seconds / count * 1e6, 2),
        "processor_seconds_per_million": round(processor / count * 1e6, 2),
        "seconds_per_million_making_records": round(made / count * 1e6, 2),
        "seconds_per_million_from_ready_records": round(written / count * 1e6, 2),
        "microseconds_per_triple_at": per_triple,
        "seconds_for_10_million_projected": round(
            10 * (made / count * 1e6) + 10 * max(per_triple.values()), 1
        ),
        "peak_megabytes_writing": _megabytes(),
        "bytes_per_triple": {
            path.name: round(path.stat().st_size / count, 1) for path in sorted(folder.iterdir())
        },
    }


def _cost_at(windows: Sequence[tuple[int, float]]) -> dict[str, float]:
    """Return µs per triple of writing ready records, over the last tenth before each size."""
    costs = {}
    last = windows[-1][0]
    for size in [*(size for size in SIZES if size < last), last]:
        near = [(n, t) for n, t in windows if 0.9 * size < n <= size] or [windows[-1]]
        before = [n for n, _ in windows if n < near[0][0]]
        triples = near[-1][0] - (before[-1] if before else 0)
        costs[f"{size:,}"] = round(sum(t for _, t in near) / triples * 1e6, 2)
    return costs


def _ask(folder: Path, *, sources: bool) -> dict[str, Any]:
    first, first_processor, first_memory = _question(folder, QUESTION)
    again, again_processor, again_memory = min(_question(folder, QUESTION) for _ in range(3))
    result: dict[str, Any] = {
        "first_answer_seconds": first,
        "first_answer_processor_seconds": first_processor,
        "reopen_answer_seconds": again,
        "reopen_answer_processor_seconds": again_processor,
        "peak_megabytes_first_answer": first_memory,
        "peak_megabytes_reopen": again_memory,
    }
    if sources:
        result["first_answer_about_sources_seconds"] = _question(folder, SOURCES_QUESTION)[0]
        result["reopen_answer_about_sources_seconds"] = _question(folder, SOURCES_QUESTION)[0]
    result["projection_megabytes"] = {
        path.name.partition("-")[0] + path.suffix: round(path.stat().st_size / 1e6, 1)
        for path in sorted(folder.glob("*-*"))
        if not path.name.startswith("record")
    }
    return result


def _question(folder: Path, cypher: str) -> tuple[float, float, int]:
    """Return wall and processor seconds of a new process up to its answer, and peak memory in MB.

    Python's own start is in the processor's time only.
    """
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(folder), cypher], capture_output=True, text=True, check=True
    )
    seconds, processor, kilobytes = done.stdout.split()
    return round(float(seconds), 2), round(float(processor), 2), int(kilobytes) // 1024


def _single(folder: Path) -> dict[str, Any]:
    """Write more documents one at a time, and ask after the first: how dear is a small change?"""
    graph = open_graph(folder)
    run = graph.begin_run(CONFIG).id
    # The same entities, other sentences: what a second set of documents adds.
    first, *rest = batches(SINGLE_DOCUMENTS * SENTENCES, documents=1, seed=1)
    graph.write(first, run=run)
    answer, processor, _ = _question(folder, QUESTION)
    began = time.perf_counter()
    for batch in rest:
        graph.write(batch, run=run)
    seconds = time.perf_counter() - began
    graph.close()
    return {
        "answer_after_one_document_seconds": answer,
        "answer_after_one_document_processor_seconds": processor,
        "documents_per_second_one_at_a_time": round(len(rest) / seconds, 1),
    }


def _peers(place: Path, triples: int) -> dict[str, dict[str, float]]:
    facts = [
        (e.head, e.relation, e.tail)
        for batch in batches(triples)
        for e in batch.evidence
        if isinstance(e.tail, str)
    ]
    peers: dict[str, Callable[[Path, list[tuple[str, str, str]]], Iterator[int]]] = {
        "llamaindex_simple_property_graph_store": _llamaindex,
        "rdflib": _rdflib,
    }
    result = {}
    for name, write in peers.items():
        began = time.perf_counter()
        (held,) = write(place / name, facts)
        seconds = time.perf_counter() - began
        result[name] = {
            "triples": held,
            "seconds": round(seconds, 2),
            "seconds_per_triple": seconds / len(facts),
        }
    return result


def _llamaindex(path: Path, facts: list[tuple[str, str, str]]) -> Iterator[int]:
    from llama_index.core.graph_stores import EntityNode, Relation, SimplePropertyGraphStore

    store = SimplePropertyGraphStore()
    names = sorted({end for head, _, tail in facts for end in (head, tail)})
    store.upsert_nodes([EntityNode(name=name, label="Person") for name in names])
    store.upsert_relations(
        [Relation(source_id=head, target_id=tail, label=label) for head, label, tail in facts]
    )
    store.persist(str(path))
    yield len(store.graph.relations)


def _rdflib(path: Path, facts: list[tuple[str, str, str]]) -> Iterator[int]:
    from rdflib import Graph, URIRef

    graph, base = Graph(), "http://example.org/"
    for head, relation, tail in facts:
        predicate = URIRef(base + relation.replace(" ", "_"))
        graph.add((URIRef(base + head), predicate, URIRef(base + tail)))
    graph.serialize(str(path), format="nt", encoding="utf-8")
    yield len(graph)


def _megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--triples", type=int, default=1_000_000)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--sources", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    result = measure(options.triples, peers=options.peers, sources=options.sources)
    if options.json:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        for name, value in result.items():
            sys.stdout.write(f"{name:45} {value}\n")


if __name__ == "__main__":
    main()
