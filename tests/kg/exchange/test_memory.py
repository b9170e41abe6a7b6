"""Exports and imports take memory for a batch, not for the graph."""

from __future__ import annotations

import tracemalloc
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kg.exchange.formats import Format, export_graph, import_graph
from kg.ids import make_id
from kg.records import (
    Batch,
    Chunk,
    Config,
    Document,
    Entity,
    Evidence,
    Link,
    Mention,
    Run,
    Triple,
)
from kg.store.protocol import RemoveReport, WriteReport

SMALL, LARGE = 150, 600
CONFIG = Config("test")
TEXT = "a knows b. " * 3
PER_DOCUMENT = 10


class Source:
    """A graph of n triples that is made while it is read, so that it takes no memory itself."""

    uri = "made"
    change_counter = 1

    def __init__(self, size: int) -> None:
        self.size = size
        digits = sorted(make_id("e", number).removeprefix("e_") for number in range(size))
        # Sorted ids are what a store gives; as one bytes object they take hardly any room.
        self.digits = bytes.fromhex("".join(digits))
        self.order = {
            "triple": self._sorted(lambda number: self._triple(number).id),
            "mention": self._sorted(lambda number: self._mention(number).id),
            "evidence": self._sorted(lambda number: self._evidence(number).id),
        }

    def _sorted(self, key: Callable[[int], str]) -> array[int]:
        return array("I", sorted(range(self.size), key=key))

    def _id(self, kind: str, number: int) -> str:
        start = 16 * (number % self.size)
        return f"{kind}_{self.digits[start : start + 16].hex()}"

    def _document(self, number: int) -> Document:
        return Document(uri=f"{number}.txt", text=TEXT)

    def _triple(self, number: int) -> Triple:
        ends = self._id("e", number), self._id("e", number + 1)
        return Triple(ends[0], "KNOWS", ends[1], "knows", 0.5, 1)

    def _mention(self, number: int) -> Mention:
        return Mention(self._id("e", number), f"name {number}", CONFIG.id, type="Person")

    def _evidence(self, number: int) -> Evidence:
        document = self._document(number // PER_DOCUMENT)
        chunk = Chunk(document.id, 0, len(TEXT))
        ends = self._id("e", number), self._id("e", number + 1)
        span = (0, 10)
        return Evidence(ends[0], "knows", ends[1], 0.5, CONFIG.id, chunk.id, span, quote=TEXT[:10])

    def derived(self, kind: str) -> Iterator[Any]:
        if kind == "entity":
            for number in range(self.size):
                yield Entity(self._id("e", number), f"name {number}", ("Person",))
        if kind == "triple":
            yield from map(self._triple, self.order["triple"])

    def written(self, kind: str, **where: Any) -> Iterator[Any]:
        if kind == "config":
            yield CONFIG
        elif kind == "run":
            yield Run("r_1", CONFIG.id, "2026")
        elif kind == "chunk" and "document" in where:
            yield Chunk(where["document"], 0, len(TEXT))
        elif kind in ("document", "chunk"):
            for number in range(self.size // PER_DOCUMENT):
                document = self._document(number)
                yield document if kind == "document" else Chunk(document.id, 0, len(TEXT))
        elif kind in ("mention", "mention_link") and "document" not in where:
            for number in self.order["mention"]:
                mention = self._mention(number)
                yield mention if kind == "mention" else Link(mention.id, "r_1")
        elif kind in ("evidence", "evidence_link"):
            few = self.order["evidence"][:PER_DOCUMENT]
            for number in few if "document" in where else self.order["evidence"]:
                evidence = self._evidence(number)
                yield evidence if kind == "evidence" else Link(evidence.id, "r_1")

    def get(self, id: str) -> Entity:
        return Entity(id, "name", ("Person",))


class Sink:
    """A graph that forgets what is written to it."""

    def begin_run(self, config: Config, *, run: str = "r", started: str = "") -> Run:
        return Run(run, config.id, started)

    def finish_run(self, run: str, counts: Mapping[str, int], *, finished: str = "") -> None:
        pass

    def undo(self, run: str) -> RemoveReport:
        return RemoveReport()

    def written(self, kind: str, **where: Any) -> Iterator[Any]:
        return iter(())

    def write(self, batch: Batch, *, run: str) -> WriteReport:
        return WriteReport(created=len(batch.mentions) + len(batch.evidence))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that the small graph fills many times already."""
    for name, size in {
        "facts.BATCH": 25, "facts.REMEMBERED": 100, "restoring.BATCH": 25, "parquet.GROUP": 25,
        "parquet.GROUP_OF_DOCUMENTS": 10, "graphrag.GROUP": 25, "stated.PART": 25,
        "langchain.PART": 25, "langchain.CACHED": 25, "scratch.BUFFER": 25,
        "rdf.writing.CACHED": 25, "rdf.writing.PART": 25,
    }.items():  # fmt: skip
        monkeypatch.setattr(f"kg.exchange.{name}", size)


def peak(action: Any) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


#: LlamaIndex's format is one JSON object, which is read as a whole.
READ_WHOLE = (Format.llamaindex,)


#: Turtle's twin; TriG, whose rows only wait on disk; neo4j-csv, which is tested with its store.
ALIKE = (Format.nt, Format.trig, Format.neo4j_csv)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("format", [f for f in Format if f not in ALIKE])
def test_memory_does_not_grow_with_the_graph(tmp_path: Path, format: Format) -> None:
    peaks: dict[str, list[int]] = {"export": [], "import": []}
    for size in (40, SMALL, LARGE):  # the first one loads the libraries
        source: Any = Source(size)
        file = tmp_path / str(size)
        peaks["export"].append(peak(lambda g=source, f=file: export_graph(g, f, format=format)))
        if format not in READ_WHOLE:
            sink: Any = Sink()
            peaks["import"].append(peak(lambda g=sink, f=file: import_graph(g, f, format=format)))
    for action, (_, small, large) in ((a, p) for a, p in peaks.items() if p):
        # Four times the graph: a list of its rows would take four times the memory.
        assert large < 1.4 * small + 100_000, (action, small, large)


def test_the_measure_sees_a_list_of_rows() -> None:
    small, large = (peak(lambda n=n: list(Source(n).derived("triple"))) for n in (SMALL, LARGE))
    assert large > 3 * small
