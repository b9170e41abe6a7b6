"""Schema files: what is read, and every error with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from kg.errors import SchemaError
from kg.records import RelationName
from kg.schema import RelationDef, Schema

GOOD = """
types:
  Person: {}
  Place: {}
  City: {parent: Place, description: a town}
relations:
  born_in:
    description: the place where a person was born
    head: Person
    tail: Place
    aliases: [birthplace, native of]
    inverse: birthplace_of
    functional: true
    seeds: [[Marie Curie, Warsaw], [Alan Turing, London]]
    templates: ["{head} was born in {tail}."]
  spouse: {head: Person, tail: Person, symmetric: true}
  date_of_birth: {head: Person, tail: date}
  good_but_not_great_at:
    roles: [agent, can, cannot]
"""


def test_a_whole_schema() -> None:
    schema = Schema.parse(GOOD)
    assert schema.relations["born_in"] == RelationDef(
        name="born_in",
        description="the place where a person was born",
        head="Person",
        tail="Place",
        aliases=("birthplace", "native of"),
        inverse="birthplace_of",
        functional=True,
        seeds=(("Marie Curie", "Warsaw"), ("Alan Turing", "London")),
        templates=("{head} was born in {tail}.",),
    )
    assert schema.relations["good_but_not_great_at"].roles == ("agent", "can", "cannot")
    assert schema.is_literal(schema.relations["date_of_birth"].tail)
    assert schema.root("City") == "Place"
    assert schema.root("Unknown") == "Unknown"
    assert schema.root("") == ""
    assert not schema.is_a("Place", "City")
    assert schema.is_a("City", "")


def test_relation_map_rows() -> None:
    rows = {row.phrase: row for row in Schema.parse(GOOD).relation_names()}
    assert rows["birthplace"] == RelationName("birthplace", "born_in")
    assert rows["birthplace_of"] == RelationName("birthplace_of", "born_in", swapped=True)
    assert rows["spouse"].symmetric


def test_an_empty_schema_is_a_schema() -> None:
    assert Schema.parse("").relations == {}
    assert Schema.parse("types:\nrelations:\n").types == {}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("types: [", ("line", "not YAML")),
        ("types:\n  A: {}\n  A: {}", ("line 3", "types.A", "twice")),
        ("typo: {}", ("line 1", "typo", "types")),
        ("types:\n  A:\n    parnt: B", ("line 3", "types.A.parnt", "did you mean parent")),
        ("types:\n  A: {parent: B}", ("types.A.parent", "'B'")),
        ("types:\n  A: {parent: B}\n  B: {parent: A}", ("circle",)),
        ("types:\n  date: {}", ("types.date", "literal")),
        ("relations:\n  r: {head: Person}", ("relations.r.head", "'Person'")),
        ("types: {Person: {}}\nrelations:\n  r: {head: Persn}", ("did you mean Person",)),
        ("types: {A: {}}\nrelations:\n  r: {head: A, tail: numbr}", ("did you mean number",)),
        ("types: {A: {}}\nrelations:\n  r: {head: date}", ("relations.r.head",)),
        ("relations:\n  r:\n    functional: maybe", ("line 3", "r.functional", "true or false")),
        ("relations:\n  r:\n    aliases: one", ("line 3", "r.aliases", "a list")),
        ("relations:\n  r:\n    aliases: [1]", ("line 3", "put it in quotes")),
        ("relations:\n  r:\n    seeds: [one]", ("line 3", "not a pair")),
        ("relations:\n  a: {aliases: [x]}\n  b: {aliases: [X]}", ("'X'", "relation a")),
        ("relations:\n  a: {symmetric: true, inverse: b}", ("own inverse",)),
        ("- a\n- b", ("a mapping is expected",)),
    ],
)
def test_errors_name_the_place(text: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.parse(text, source="my.yaml")
    assert "my.yaml" in str(caught.value)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="does not exist"):
        Schema.load(tmp_path / "none.yaml")
    with pytest.raises(SchemaError, match="folder"):
        Schema.load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("types: {Größe: {}}".encode("latin-1"))
    with pytest.raises(SchemaError, match="UTF-8"):
        Schema.load(tmp_path / "latin.yaml")
