"""Records are read in pages: bounded memory, the same records."""

from __future__ import annotations

from dataclasses import replace

import pytest

import kg
from kg.store import answers
from kg.store.embedded import reading
from tests.kg.store.contract import CONFIG
from tests.kg.store.random_graph import random_batches


def test_pages_give_every_record_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = kg.open_graph("memory://")
    run = graph.begin_run(CONFIG).id
    again = graph.begin_run(CONFIG).id
    for batch in random_batches(3):
        graph.write(batch, run=run)
        graph.write(batch, run=again)
    kinds = ("document", "chunk", "mention", "evidence", "mention_link", "evidence_link")
    whole = {kind: list(graph.written(kind)) for kind in kinds}  # type: ignore[call-overload]
    for kind, spec in reading._KINDS.items():
        monkeypatch.setitem(reading._KINDS, kind, replace(spec, page=3 if spec.page else 0))
    for kind in kinds:
        assert list(graph.written(kind)) == whole[kind]  # type: ignore[call-overload]
        assert len(whole[kind]) > 3


@pytest.mark.parametrize("part", [1, 2, 5])
def test_derived_records_in_parts(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    graph = kg.open_graph("memory://")
    run = graph.begin_run(CONFIG).id
    for batch in random_batches(3):
        graph.write(batch, run=run)
    kinds = ("entity", "literal", "triple")
    whole = {kind: list(graph.derived(kind)) for kind in kinds}  # type: ignore[call-overload]
    monkeypatch.setattr(answers, "PART", part)
    for kind in kinds:
        assert list(graph.derived(kind)) == whole[kind]  # type: ignore[call-overload]
        assert [record.id for record in whole[kind]] == sorted({r.id for r in whole[kind]})
