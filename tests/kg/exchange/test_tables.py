"""Tables of ids: bytes, sidecar, foreign files, round trips with hostile names."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kg
from kg.errors import ExchangeError
from kg.exchange.facts import Fact, phrase_of, write_facts
from kg.exchange.tables import labels_path, read_table, write_table
from kg.ids import entity_id, relation_type
from kg.records import Entity
from kg.store.protocol import GraphStore
from tests.kg.exchange.graphs import full_graph, hostile_graph
from tests.kg.sample_graph import MARIE, WARSAW, fill


def ids(graph: GraphStore) -> set[str]:
    return {triple.id for triple in graph.derived("triple")}


def filled() -> GraphStore:
    graph = kg.open_graph("memory://")
    fill(graph)
    return graph


def test_rows_come_by_id_and_the_same_every_time(tmp_path: Path) -> None:
    graph = filled()
    report = write_table(graph, tmp_path / "a.tsv")
    assert (report.triples, report.entities, report.literals_left_out) == (4, 7, 1)
    rows = (tmp_path / "a.tsv").read_text(encoding="utf-8").splitlines()
    triples = [t for t in graph.derived("triple") if t.tail.startswith("e_")]
    assert rows == [
        f"{t.head}\t{t.relation}\t{t.tail}" for t in sorted(triples, key=lambda t: t.id)
    ]
    assert f"{MARIE}\tBORN_IN\t{WARSAW}" in rows
    write_table(graph, tmp_path / "b.tsv")
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    assert labels_path(tmp_path / "a.tsv").read_bytes() == (
        labels_path(tmp_path / "b.tsv").read_bytes()
    )


def test_round_trip_keeps_ids_names_and_types(tmp_path: Path) -> None:
    graph, copy = filled(), kg.open_graph("memory://")
    write_table(graph, tmp_path / "a.tsv", literals=True)
    report = read_table(copy, tmp_path / "a.tsv")
    assert ids(copy) == ids(graph)
    assert report.facts == 5
    names = {e.id: (e.name, e.types) for e in graph.derived("entity")}
    assert {e.id: (e.name, e.types) for e in copy.derived("entity")} == names
    assert next(iter(copy.derived("literal"))).lexical == "1867-11-07"


def test_a_reader_with_quoting_gets_every_row(tmp_path: Path) -> None:
    """Trainers read tables as CSV with quotes, which names could break and ids cannot."""
    write_table(filled(), tmp_path / "a.tsv")
    with (tmp_path / "a.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert [len(row) for row in rows] == [3, 3, 3, 3]


def test_pykeen_reads_every_triple_whatever_the_names(tmp_path: Path) -> None:
    from pykeen.triples import TriplesFactory

    for graph in (full_graph(), hostile_graph()):
        write_table(graph, tmp_path / "a.tsv")
        factory = TriplesFactory.from_path(tmp_path / "a.tsv")
        triples = [t for t in graph.derived("triple") if t.tail.startswith("e_")]
        assert factory.num_triples == len(triples)
        entities, relations = factory.entity_id_to_label, factory.relation_id_to_label
        read = {
            (entities[head], relations[relation], entities[tail])
            for head, relation, tail in factory.mapped_triples.tolist()
        }
        assert read == {(t.head, t.relation, t.tail) for t in triples}


hostile = st.text(
    alphabet=st.characters(codec="utf-8") | st.sampled_from("\"'\t\r\n\\,;<&\x00\u2028🙂"),
    min_size=1,
    max_size=20,
).filter(lambda name: name.strip() != "")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(hostile, hostile, hostile), min_size=1, max_size=6))
def test_hostile_names_make_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    graph, copy = kg.open_graph("memory://"), kg.open_graph("memory://")
    facts = [
        Fact(
            Entity(entity_id(head, "Person"), head, ("Person",)),
            phrase,
            Entity(entity_id(tail, "Place"), tail, ("City", "Place")),
        )
        for head, phrase, tail in rows
    ]
    write_facts(graph, facts, file="x", sha256="y")
    table = tmp_path_factory.mktemp("tables") / "a.tsv"
    write_table(graph, table)
    read_table(copy, table)
    assert ids(copy) == ids(graph)
    assert {(e.id, e.name) for e in copy.derived("entity")} == {
        (e.id, e.name) for e in graph.derived("entity")
    }


@given(hostile)
def test_a_relation_type_is_its_own_phrase(phrase: str) -> None:
    """So that a table's relation column gives the same relation again."""
    assert relation_type(relation_type(phrase)) == relation_type(phrase)
    assert relation_type(phrase_of(relation_type(phrase), phrase)) == relation_type(phrase)


def test_a_table_of_names_from_another_tool(tmp_path: Path) -> None:
    table = tmp_path / "foreign.tsv"
    table.write_bytes(b'\xef\xbb\xbf"Bob" Lee\tknows\tZo\xc3\xab\r\n\r\nNA\tknows\t"x\n')
    graph = kg.open_graph("memory://")
    report = read_table(graph, table)
    assert (report.facts, report.entities) == (2, 4)
    assert {e.name for e in graph.derived("entity")} == {'"Bob" Lee', "Zoë", "NA", '"x'}
    assert {t.relation for t in graph.derived("triple")} == {"KNOWS"}


def test_a_name_of_unknown_type_joins_the_entity_that_is_there(tmp_path: Path) -> None:
    graph = filled()
    table = tmp_path / "more.tsv"
    table.write_text("Marie Curie\tlived in\tWarsaw\n", encoding="utf-8")
    read_table(graph, table)
    found = [t for t in graph.derived("triple") if t.relation == "LIVED_IN"]
    assert [(t.head, t.tail) for t in found] == [(MARIE, WARSAW)]


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"a\tb\n", "line 1 has 2 columns"),
        (b"a\tb\tc\n\na\tb\tc\td\n", "line 3 has 4 columns"),
        (b"a\t\tc\n", "some perhaps empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (f"{MARIE}\tBORN_IN\t{WARSAW}\n".encode(), "keep the sidecar"),
    ],
)
def test_a_wrong_table_writes_nothing(tmp_path: Path, content: bytes, hint: str) -> None:
    table = tmp_path / "x.tsv"
    table.write_bytes(content)
    graph = kg.open_graph("memory://")
    with pytest.raises(ExchangeError, match=hint):
        read_table(graph, table)
    assert graph.stats().runs == 0


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"id": "e_1"}', '{"id": "x", "label": "y", "types": 3}']
)
def test_a_wrong_sidecar(tmp_path: Path, line: str) -> None:
    table = tmp_path / "x.tsv"
    table.write_text("a\tb\tc\n", encoding="utf-8")
    labels_path(table).write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ExchangeError, match="line 1 is not a JSON object"):
        read_table(kg.open_graph("memory://"), table)


def test_a_literal_cannot_be_a_head(tmp_path: Path) -> None:
    table = tmp_path / "x.tsv"
    table.write_text("l_1\tb\tc\n", encoding="utf-8")
    row = {"id": "l_1", "label": "1867", "datatype": "xsd:date", "lang": ""}
    labels_path(table).write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(ExchangeError, match="literal as its head"):
        read_table(kg.open_graph("memory://"), table)


def test_an_entity_that_bears_the_name_of_a_relation(tmp_path: Path) -> None:
    table = tmp_path / "x.tsv"
    table.write_text("KNOWS\tKNOWS\tKNOWS too\n", encoding="utf-8")
    labels_path(table).write_text('{"id": "KNOWS", "label": "knows"}\n', encoding="utf-8")
    graph = kg.open_graph("memory://")
    read_table(graph, table)
    assert {e.name for e in graph.derived("entity")} == {"KNOWS", "KNOWS too"}
    assert next(iter(graph.derived("triple"))).predicate == "knows"
