"""Rules over a store: the schema it was harvested by, examples with ids and quotes, the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rdflib
from typer.testing import CliRunner

import kg
from kg.constraints import Cardinality, LabelledGraph, harvested_schema, rules_of, validate
from kg.constraints.commands import app, evaluations_app
from kg.errors import SchemaError
from kg.ids import entity_id
from kg.records import Batch, Config, Evidence, Literal, Mention
from kg.schema import Schema
from kg.store.protocol import GraphStore
from tests.kg.sample_graph import MARIE, fill

RUN = CliRunner()
SCHEMA = """
types:
  Person: {}
  Place: {}
  City: {parent: Place}
  Organization: {}
relations:
  born_in: {head: Person, tail: Place, functional: true, inverse: birthplace_of}
  spouse: {head: Person, tail: Person, symmetric: true}
  employer: {head: Person, tail: Organization}
  date of birth: {head: Person, tail: date, functional: true}
"""
SEEN = Schema.parse(SCHEMA)


@pytest.fixture
def graph() -> Iterator[GraphStore]:
    store = kg.open_graph("memory://")
    fill(store)
    yield store
    store.close()


def add(store: GraphStore, *evidence: tuple[str, str, Any], parameters: Any = None) -> None:
    config = Config("test", parameters=parameters or {})
    ends = {end for head, _, tail in evidence for end in (head, tail) if isinstance(end, str)}
    known = {mention.entity for mention in store.written("mention")}
    mentions = tuple(
        Mention(entity_id(end), end, config.id)
        for end in sorted(ends)
        if entity_id(end) not in known
    )
    rows = tuple(
        Evidence(
            head if head.startswith("e_") else entity_id(head),
            relation,
            tail if isinstance(tail, Literal) or tail.startswith("e_") else entity_id(tail),
            0.9,
            config.id,
        )
        for head, relation, tail in evidence
    )
    mentions = tuple(one for one in mentions if not one.surface.startswith("e_"))
    store.write(Batch(mentions=mentions, evidence=rows), run=store.begin_run(config).id)


def test_what_does_not_fit_is_named_with_its_quote(graph: GraphStore) -> None:
    report = validate(graph, rules_of(SEEN))
    assert {(one.rule, one.about) for one in report.failed} == {("Relations", "")}
    (violation,) = report.failed[0].examples
    assert "RELATED_TO" in violation.message
    assert violation.quotes[0].startswith("ada</script>")
    assert graph.get(violation.edges[0].id).relation == "RELATED_TO"
    stats = graph.stats()
    assert (report.edges, report.nodes) == (stats.triples, stats.entities + stats.literals)


def test_second_birthplace_and_wrong_kinds_are_found(graph: GraphStore) -> None:
    add(
        graph,
        (MARIE, "born_in", "Oslo"),
        (MARIE, "date of birth", Literal("1934-07-04", "xsd:date")),
        (MARIE, "employer", Literal("1934-07-04", "xsd:date")),
    )
    report = validate(graph, rules_of(SEEN))
    assert {(one.rule, one.about) for one in report.failed} == {
        ("Relations", ""),
        ("Range", "BORN_IN"),  # Oslo has no type
        ("Range", "EMPLOYER"),
        ("Cardinality", "BORN_IN"),
        ("Cardinality", "DATE_OF_BIRTH"),
    }
    twice = next(
        one for one in report.failed if (one.rule, one.about) == ("Cardinality", "BORN_IN")
    )
    assert twice.examples[0].nodes[0].name == "Marie Curie"
    assert "𝒳 Marie Curie was born in Warsaw." in twice.examples[0].quotes


def test_symmetric_and_inverse_relations_are_stored_one_way(graph: GraphStore) -> None:
    """The derivation turns them round; the rules say so of every stored graph."""
    add(graph, ("Ann", "spouse", "Bob"), ("Zoe", "spouse", "Bob"), ("Bob", "spouse", "Ann"))
    assert "Symmetric" not in validate(graph, rules_of(SEEN)).broken


def test_predictions_are_not_judged(graph: GraphStore) -> None:
    rule = Cardinality("BORN_IN", least=1, types=["Person"])
    report = validate(graph, [rule])
    names = [node.name for node in report.failed[0].examples[0].nodes]
    assert names == ["Pierre Curie"]  # whose birthplace is only predicted


def test_schema_of_the_harvest_is_found_in_the_graph() -> None:
    store = kg.open_graph("memory://")
    add(store, ("Ann", "spouse", "Bob"), parameters=SEEN.parameters())
    found = harvested_schema(store)
    rules = [sorted((one.name, one.about) for one in rules_of(s)) for s in (found, SEEN)]
    assert rules[0] == rules[1]
    assert found.relations["born_in"].functional
    add(
        store,
        ("Ann", "born_in", "Rome"),
        parameters=Schema.parse(
            "types: {Work: {}}\nrelations: {author: {head: Work}}"
        ).parameters(),
    )
    assert "author" in harvested_schema(store).relations
    add(
        store,
        ("Ann", "born_in", "Oslo"),
        parameters=Schema.parse(
            "types: {Work: {}}\nrelations: {born_in: {head: Work}}"
        ).parameters(),
    )
    with pytest.raises(SchemaError, match="declare 'born_in' differently"):
        harvested_schema(store)
    store.close()


@pytest.mark.neo4j
def test_both_stores_get_the_same_report(graph: GraphStore, neo4j_graph: str) -> None:
    other = kg.open_graph(neo4j_graph)
    fill(other)
    for store in (graph, other):
        add(store, (MARIE, "born_in", "Oslo"), (MARIE, "spouse", Literal("5", "kg:quantity")))
    report = validate(graph, rules_of(SEEN))
    assert len(report.failed) >= 3
    assert validate(other, rules_of(SEEN)) == report
    other.close()


def test_graph_without_a_schema_says_so(graph: GraphStore) -> None:
    with pytest.raises(SchemaError, match="--schema"):
        harvested_schema(graph)


def test_relation_with_roles_is_a_node_with_an_edge_per_role() -> None:
    schema = Schema.parse("relations: {good at: {roles: [agent, can]}}")
    assert Schema.parse("relations: {a: {}}").parameters()["relations"]["a"].get("roles") is None
    assert schema.parameters()["relations"]["good at"]["roles"] == ["agent", "can"]
    kinds = {"x": ["good at", "Event"], "y": ["good at", "Event"]}
    edges = [("x", "AGENT", "ann"), ("x", "CAN", "sing"), ("y", "AGENT", "bob")]
    report = validate(LabelledGraph.of(edges, types=kinds), rules_of(schema))
    assert [(one.about, one.examples[0].nodes[0].id) for one in report.failed] == [("CAN", "y")]


# ----------------------------------------------------------------------------------- commands


@pytest.fixture
def folder(tmp_path: Path) -> tuple[str, str]:
    store = kg.open_graph(tmp_path / "my.kg")
    fill(store)
    store.close()
    (tmp_path / "schema.yaml").write_text(SCHEMA, encoding="utf-8")
    return str(tmp_path / "my.kg"), str(tmp_path / "schema.yaml")


def test_check_shows_broken_rules_and_ends_with_1(folder: tuple[str, str]) -> None:
    result = RUN.invoke(app, [folder[0], "--schema", folder[1]])
    assert result.exit_code == 1
    assert "Relations: broken in 1 place" in result.stdout
    assert "\x1b" not in result.stdout  # the sample's names are hostile to terminals
    assert "13 of 14 rules hold" in result.stderr


def test_check_as_json_and_shapes_as_turtle(folder: tuple[str, str], tmp_path: Path) -> None:
    shapes = tmp_path / "shapes.ttl"
    words = [folder[0], "--schema", folder[1], "--json", "--shacl", str(shapes)]
    result = RUN.invoke(app, words)
    found = json.loads(result.stdout.splitlines()[-1])
    assert (found["ok"], found["failed"][0]["rule"], found["failed"][0]["count"]) == (
        False,
        "Relations",
        1,
    )
    assert found["failed"][0]["examples"][0]["quotes"]
    assert len(rdflib.Graph().parse(shapes)) > 50


def test_check_that_holds_ends_with_0(folder: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "wide.yaml").write_text(SCHEMA + "  related to: {}\n", encoding="utf-8")
    result = RUN.invoke(app, [folder[0], "--schema", str(tmp_path / "wide.yaml")])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "14 of 14 rules hold" in result.stderr


@pytest.mark.parametrize("words", [["missing.kg"], ["{graph}"], ["{graph}", "--schema", "no.yaml"]])
def test_check_without_graph_or_schema_is_usage(folder: tuple[str, str], words: list[str]) -> None:
    result = RUN.invoke(app, [word.format(graph=folder[0]) for word in words])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")


def test_evaluation_of_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    words = ["explanation-graphs", "--data", str(tmp_path)]
    result = RUN.invoke(evaluations_app, words)
    assert result.exit_code == 1
    assert "does not exist" in result.stderr
