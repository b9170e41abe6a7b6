"""The benchmark of the embedded store runs and says what it promises to say; it is not timed."""

from __future__ import annotations

import json

import pytest

from benchmarks import write_embedded
from benchmarks.synthetic import SENTENCES, batches
from kg import open_graph
from kg.records import Batch


def test_it_prints_its_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(write_embedded, "SINGLE_DOCUMENTS", 3)
    write_embedded.main(["--json", "--triples", "400", "--sources"])
    result = json.loads(capsys.readouterr().out)
    assert (result["evidence"], result["mentions"]) == (400, 80)
    for key in (
        "seconds_per_million",
        "seconds_per_million_making_records",
        "seconds_per_million_from_ready_records",
        "first_answer_seconds",
        "reopen_answer_seconds",
        "first_answer_about_sources_seconds",
        "answer_after_one_document_seconds",
        "documents_per_second_one_at_a_time",
        "peak_megabytes_writing",
        "peak_megabytes_first_answer",
        "seconds_for_10_million_projected",
        "times_faster_than_rdflib",
        "times_faster_than_llamaindex_simple_property_graph_store",
    ):
        assert result[key] > 0, key
    assert list(result["microseconds_per_triple_at"]) == ["400"]
    for peer in result["peers"].values():
        assert peer["triples"] > 390  # a few sentences state one triple


def test_cost_is_looked_at_before_each_size() -> None:
    windows = [(size, 1.0) for size in range(5_000, 105_000, 5_000)]
    costs = write_embedded._cost_at([*windows, (110_000, 2.0)])
    assert costs == {"100,000": 200.0, "110,000": 200.0}


def test_the_synthetic_graph_is_true_and_new_documents_add_to_it() -> None:
    """Its quotes are checked by the store; two seeds share entities, not sentences."""
    graph = open_graph("memory://")
    run = graph.begin_run(write_embedded.CONFIG).id
    made: list[Batch] = [*batches(200, documents=4), *batches(200, documents=1, seed=1)]
    for batch in made:
        graph.write(batch, run=run)
    stats = graph.stats()
    assert stats.evidence == 400
    assert stats.entities == 200 // SENTENCES * 4
    assert stats.documents == 20
    graph.close()
