"""The same explanations and the same picture on every store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import kg
from kg.errors import NotFound
from kg.explanation import Explanation, explain, predicted
from kg.ids import entity_id
from kg.picture import Picture, gather
from kg.records import Batch, Config, Evidence, Mention
from kg.store.protocol import GraphStore
from tests.kg.sample_graph import MARIE, PARIS, PIERRE, WARSAW, fill

TRIPLES = (
    "Marie Curie | born in | Warsaw",
    "Marie Curie | member of | French Academy of Sciences",
    "Pierre Curie | born in | Warsaw",
    "University of Paris | employed | Marie Curie",
    "Marie Curie | date of birth | 1867-11-07",
)


def _all(graph: GraphStore) -> tuple[list[Explanation], Picture]:
    fill(graph)
    found = [one for triple in TRIPLES for one in explain(graph, triple)]
    picture = replace(gather(graph), title="")
    graph.close()
    return found, picture


def test_embedded_is_as_in_memory(tmp_path: Path) -> None:
    assert _all(kg.open_graph(tmp_path / "x.kg")) == _all(kg.open_graph("memory://"))


@pytest.mark.neo4j
def test_neo4j_is_as_in_memory(neo4j_graph: str) -> None:
    assert _all(kg.open_graph(neo4j_graph)) == _all(kg.open_graph("memory://"))


@pytest.fixture
def graph() -> GraphStore:
    store = kg.open_graph("memory://")
    fill(store)
    return store


def test_a_prediction_that_evidence_supports_is_none(graph: GraphStore) -> None:
    assert [(link.head, link.relation, link.tail) for link in predicted(graph)] == [
        (PIERRE, "BORN_IN", WARSAW)
    ]


def test_context_stands_around_the_quote(graph: GraphStore) -> None:
    (found,) = explain(graph, "Marie Curie | employer | University of Paris", context=7)
    (source,) = found.sources
    assert (source.before, source.after) == ("arsaw. ", " She wa")


def test_a_model_has_no_quote(graph: GraphStore) -> None:
    config = Config(harvester="lm", model="small")
    run = graph.begin_run(config).id
    evidence = Evidence(MARIE, "employer", PARIS, 0.3, config.id)
    graph.write(Batch(evidence=(evidence,)), run=run)
    (found,) = explain(graph, "Marie Curie | employer | University of Paris")
    model = next(source for source in found.sources if source.harvester == "lm")
    assert (model.quote, model.uri, model.span, model.model) == ("", "", None, "small")
    assert found.sources[0].score >= found.sources[1].score


def test_a_name_that_two_entities_bear_means_both(graph: GraphStore) -> None:
    config = Config(harvester="by hand")
    run = graph.begin_run(config).id
    other = entity_id("Warsaw", "Ship")
    graph.write(
        Batch(
            mentions=(Mention(other, "Warsaw", config.id, type="Ship"),),
            evidence=(Evidence(MARIE, "born_in", other, 0.2, config.id),),
        ),
        run=run,
    )
    found = explain(graph, "Marie Curie | born in | Warsaw")
    assert {one.tail.id for one in found} == {WARSAW, other}


def test_ids_may_stand_for_names(graph: GraphStore) -> None:
    (found,) = explain(graph, f"{MARIE} | BORN_IN | {WARSAW}")
    assert found.triple is not None
    with pytest.raises(NotFound):
        explain(graph, f"{WARSAW} | BORN_IN | {MARIE}")
