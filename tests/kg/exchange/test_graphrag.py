"""GraphRAG: its tables, opened by pandas; an output of its own, read as RELATED_TO."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest

import kg
from kg.errors import ExchangeError
from kg.exchange.facts import Fact, write_facts
from kg.exchange.graphrag import is_graphrag, read_graphrag, write_graphrag
from kg.ids import entity_id
from kg.records import Entity
from tests.kg.exchange.graphs import full_graph, hostile_graph


def tables(folder: Path) -> dict[str, pandas.DataFrame]:
    return {path.stem: pandas.read_parquet(path) for path in folder.glob("*.parquet")}


@pytest.mark.parametrize("make", [full_graph, hostile_graph])
def test_edges_join_on_unique_titles(tmp_path: Path, make: object) -> None:
    graph = make()  # type: ignore[operator]
    report = write_graphrag(graph, tmp_path)
    assert is_graphrag(tmp_path)
    found = tables(tmp_path)
    entities, edges, units = found["entities"], found["relationships"], found["text_units"]
    assert entities["title"].is_unique
    assert set(edges["source"]) | set(edges["target"]) <= set(entities["title"])
    assert len(edges) == report.triples
    assert report.triples + report.literals_left_out == graph.stats().triples
    ends = pandas.concat([edges["source"], edges["target"]]).value_counts()
    degrees = dict(zip(entities["title"], entities["degree"], strict=True))
    assert all(degrees[title] == ends.get(title, 0) for title in degrees)
    assert all(
        row.combined_degree == degrees[row.source] + degrees[row.target]
        for row in edges.itertuples()
    )
    chunks = set(units["id"])
    assert all(set(ids) <= chunks for ids in [*edges["text_unit_ids"], *entities["text_unit_ids"]])
    for row in units.itertuples():
        stated = {e.id for e in edges.itertuples() if row.id in set(e.text_unit_ids)}
        assert set(row.relationship_ids) == stated
        named = {e.id for e in entities.itertuples() if row.id in set(e.text_unit_ids)}
        assert set(row.entity_ids) == named
    assert list(found["documents"]["id"]) == [d.id for d in graph.written("document")]


def test_the_type_is_put_behind_a_name_that_two_bear(tmp_path: Path) -> None:
    graph = kg.open_graph("memory://")
    ends = [Entity(entity_id("Paris", type), "Paris", (type,)) for type in ("City", "Person")]
    third = Entity(entity_id("Paris (City)"), "Paris (City)")
    facts = [Fact(ends[1], "lives in", ends[0]), Fact(ends[1], "is not", third)]
    write_facts(graph, facts, file="x", sha256="y")
    write_graphrag(graph, tmp_path)
    titles = set(tables(tmp_path)["entities"]["title"])
    assert titles == {
        f"Paris (City) ({ends[0].id})", "Paris (Person)", f"Paris (City) ({third.id})",
    }  # fmt: skip


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Tables as GraphRAG writes them, by hand."""

    def save(name: str, rows: list[dict[str, object]]) -> None:
        pandas.DataFrame(rows).to_parquet(tmp_path / f"{name}.parquet")

    save(
        "documents",
        [
            {
                "id": "d1",
                "human_readable_id": 0,
                "title": "ada.txt",
                "text": "…",
                "text_unit_ids": ["u1"],
            }
        ],
    )
    save(
        "text_units",
        [
            {
                "id": "u1",
                "human_readable_id": 7,
                "text": "Ada lived in London.",
                "n_tokens": 5,
                "document_ids": ["d1"],
                "entity_ids": ["1", "2"],
                "relationship_ids": ["r1"],
                "covariate_ids": None,
            }
        ],
    )
    save(
        "entities",
        [
            {
                "id": "1",
                "human_readable_id": 0,
                "title": "ADA",
                "type": "PERSON",
                "description": "A writer",
                "text_unit_ids": ["u1"],
                "frequency": 1,
                "degree": 2,
                "x": 0.0,
            },
            {
                "id": "2",
                "human_readable_id": 1,
                "title": "LONDON",
                "type": "GEO",
                "description": None,
                "text_unit_ids": ["u1"],
                "frequency": 1,
                "degree": 1,
                "x": 0.0,
            },
        ],
    )
    save(
        "relationships",
        [
            {
                "id": "r1",
                "human_readable_id": 0,
                "source": "ADA",
                "target": "LONDON",
                "description": "Ada lived in London for years",
                "weight": 9.0,
                "combined_degree": 3,
                "text_unit_ids": ["u1"],
            },
            {
                "id": "r2",
                "human_readable_id": 1,
                "source": "ADA",
                "target": "NOBODY",
                "description": "Ada knew\nnobody",
                "weight": 1.0,
                "combined_degree": 1,
                "text_unit_ids": None,
            },
        ],
    )
    return tmp_path  # fmt: skip


def test_its_own_output_becomes_related_to_with_the_sentence(output: Path) -> None:
    graph = kg.open_graph("memory://")
    report = read_graphrag(graph, output)
    assert report.entities == 3
    found = {(t.head, t.tail): t for t in graph.derived("triple")}
    ada, london, nobody = entity_id("ADA", "PERSON"), entity_id("LONDON", "GEO"), "NOBODY"
    assert set(found) == {(ada, london), (ada, entity_id(nobody))}
    first, second = found[ada, london], found[ada, entity_id(nobody)]
    assert {t.relation for t in found.values()} == {"RELATED_TO"}
    # The sentence sums up what the text unit says: it is kept and is no second source.
    assert (first.support, second.support) == (1, 1)
    quotes = {(e.quote, e.hedged) for e in graph.written("evidence", triple=first.id)}
    assert quotes == {("Ada lived in London.", False), ("Ada lived in London for years", True)}
    quotes = {(e.quote, e.hedged) for e in graph.written("evidence", triple=second.id)}
    assert quotes == {("Ada knew\nnobody", False)}
    assert "ada.txt#7" in {d.uri for d in graph.written("document")}
    assert graph.get(ada).description == "A writer"  # type: ignore[union-attr]
    graph.undo(report.run)
    assert graph.stats().documents == 0


def test_edges_without_texts(output: Path) -> None:
    (output / "text_units.parquet").unlink()
    (output / "documents.parquet").unlink()
    graph = kg.open_graph("memory://")
    assert read_graphrag(graph, output).facts == 2
    assert {t.support for t in graph.derived("triple")} == {1}


def test_a_table_of_something_else(output: Path) -> None:
    pandas.DataFrame([{"a": 1}]).to_parquet(output / "relationships.parquet")
    graph = kg.open_graph("memory://")
    with pytest.raises(ExchangeError, match="lacks the column"):
        read_graphrag(graph, output)
    (output / "relationships.parquet").write_bytes(b"no")
    with pytest.raises(ExchangeError, match="not a Parquet file"):
        read_graphrag(graph, output)
    assert graph.stats().runs == 0
