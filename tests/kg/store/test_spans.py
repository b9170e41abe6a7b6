"""Offsets count code points: whatever stands in a text, every quote equals its slice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kg import open_graph
from kg.errors import RecordError
from kg.ids import entity_id
from kg.records import Batch, Chunk, Config, Document, Evidence, Mention

CONFIG = Config("spans")
PIECES = [
    "Ada",
    "e\u0301",
    "👩‍🔬",
    "\r\n",
    "\x00",
    "\u202e",
    "ß",
    "𝔘",
    "\u00a0",
    " ",
    "né",
    "\ufeff",
    ".",
]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(PIECES), min_size=3, max_size=30), st.data())
def test_a_quote_is_its_slice_before_and_after_the_store(
    pieces: list[str], data: st.DataObject
) -> None:
    text = "".join(pieces) + "Ada met Bob."
    document = Document(uri="x.txt", text=text)
    chunk = Chunk(document.id, 0, len(text))
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    ada, bob = entity_id("Ada", "Person"), entity_id("Bob", "Person")
    ends = tuple(Mention(id, name, CONFIG.id) for id, name in ((ada, "Ada"), (bob, "Bob")))
    evidence = Evidence(
        *(ada, "met", bob, 0.5, CONFIG.id, chunk.id, (start, end)), quote=text[start:end]
    )
    graph = open_graph("memory://")
    run = graph.begin_run(CONFIG).id
    graph.write(Batch((document,), (chunk,), ends, (evidence,)), run=run)
    (back,) = graph.written("evidence")
    (stored,) = graph.written("document")
    assert back == evidence
    assert stored.text == text
    assert stored.text[slice(*back.span)] == back.quote
    ((quote, from_, to),) = graph.read("MATCH ()-[s:STATES]->() RETURN s.quote, s.start, s.end")
    assert text[from_:to] == quote
    graph.close()


def test_byte_offsets_are_refused() -> None:
    text = "💍 Ada met Bob."
    document = Document(uri="x.txt", text=text)
    chunk = Chunk(document.id, 0, len(text))
    ada = entity_id("Ada", "Person")
    at = text.encode().index(b"Ada")
    evidence = Evidence(ada, "is", ada, 0.5, CONFIG.id, chunk.id, (at, at + 3), quote="Ada")
    graph = open_graph("memory://")
    run = graph.begin_run(CONFIG).id
    with pytest.raises(RecordError, match="quotes 'Ada'"):
        graph.write(
            Batch((document,), (chunk,), (Mention(ada, "Ada", CONFIG.id),), (evidence,)), run=run
        )
    graph.close()
