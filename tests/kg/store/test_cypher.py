"""The statements as strings: no server is needed to see that no value can become code."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.errors import StoreError
from kg.ids import label, relation_type
from kg.store.cypher import deriving, locking, names, opening, predicting, removing, writing
from kg.store.cypher.names import Put

HOSTILE = [
    "X`) DETACH DELETE (n", "A:B", "a b", "", "1X", "X\u0060", "Ｘ", "X-Y", "X\n", "$x", "é", "X;",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_refused_everywhere(text: str) -> None:
    for make in (
        lambda: names.name(text),
        lambda: deriving.entities(["Entity", text]),
        lambda: deriving.lose_labels([text]),
        lambda: deriving.triples(text),
    ):
        with pytest.raises(StoreError, match="cannot be a label"):
            make()


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable()))
def test_every_phrase_and_type_gives_a_name_that_passes(text: str) -> None:
    assert names.name(relation_type(text)) == f"`{relation_type(text)}`"
    assert names.name(label(text)) == f"`{label(text)}`"


def test_rows_are_written_on_the_key_and_accounted_for() -> None:
    put = deriving.triples("BORN_IN")
    assert put.statement == (
        "UNWIND $rows AS r MATCH (h) WHERE elementId(h) = r[1] MATCH (t) WHERE elementId(t) = r[2] "
        "MERGE (h)-[x:`BORN_IN`]->(t) "
        "SET x.id = r[0], x.predicate = r[3], x.score = r[4], x.support = r[5] RETURN count(*)"
    )
    assert put.matched.endswith("elementId(t) = r[2] RETURN collect(r[0])")


def test_schema_has_a_constraint_for_every_label_and_an_index_for_evidence() -> None:
    made = opening.schema()
    for text in opening.OUR_LABELS:
        assert f"FOR (n:{text}) REQUIRE n.id IS UNIQUE" in made[f"sheaf_{text.lower()}_id"]
    assert "FOR ()-[n:STATES]-() ON (n.triple_id)" in made["sheaf_states_triple_id"]
    assert all("IF NOT EXISTS" in statement for statement in made.values())


#: Pieces of statements.
_PIECES = {"NAMING", "SHARED", "ALONE", "STATE"}


def all_statements() -> dict[str, str]:
    return {
        name: value.statement if isinstance(value, Put) else value
        for module in (opening, locking, writing, deriving, predicting, removing)
        for name, value in vars(module).items()
        if name.isupper() and name[0] != "_" and isinstance(value, str | Put)
        if name not in _PIECES
    }


def test_nothing_needs_plugins_or_looks_for_dynamic_names() -> None:
    for statement in all_statements().values():
        assert "apoc" not in statement.lower()
        # A dynamic name in MATCH or MERGE would cost the index.
        assert not re.search(r"(MATCH|MERGE) [^)]*:\$\(", statement)


def test_nodes_are_merged_on_their_id_alone() -> None:
    """A MERGE on more than the key makes a second node as soon as one value differs."""
    for statement in [*all_statements().values(), deriving.entities(["Entity"]).statement]:
        for keys in re.findall(r"MERGE \(\w*:\w+ \{([^}]*)\}\)", statement):
            assert keys.startswith("id: "), statement
            assert "," not in keys, statement


def test_nothing_erases_what_others_have_set_on_nodes() -> None:
    for statement in [*all_statements().values(), deriving.entities(["Entity"]).statement]:
        assert not re.search(r"SET [delmntfp] = (r\[|row|properties)", statement), statement
