"""The statements as strings: no server is needed to see that no value can become code."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg.errors import StoreError
from kg.ids import label, relation_type
from kg.store import cypher
from kg.store.cypher import Put

HOSTILE = [
    "X`) DETACH DELETE (n", "A:B", "a b", "", "1X", "X\u0060", "Ｘ", "X-Y", "X\n", "$x", "é", "X;",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_refused_everywhere(text: str) -> None:
    for make in (
        lambda: cypher.name(text),
        lambda: cypher.entities(["Entity", text]),
        lambda: cypher.lose_labels([text]),
        lambda: cypher.triples(text, "Entity"),
    ):
        with pytest.raises(StoreError, match="cannot be a label"):
            make()


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable()))
def test_every_phrase_and_type_gives_a_name_that_passes(text: str) -> None:
    assert cypher.name(relation_type(text)) == f"`{relation_type(text)}`"
    assert cypher.name(label(text)) == f"`{label(text)}`"


def test_both_ends_are_matched_by_label_and_id() -> None:
    put = cypher.triples("BORN_IN", "Literal")
    assert put.statement == (
        "UNWIND $rows AS r MATCH (h:Entity {id: r.head}) MATCH (t:Literal {id: r.tail}) "
        "MERGE (h)-[x:`BORN_IN`]->(t) SET x += r.properties RETURN count(*)"
    )
    assert put.matched.endswith("MATCH (t:Literal {id: r.tail}) RETURN r.id")


def test_schema_has_a_constraint_for_every_label_and_an_index_for_evidence() -> None:
    made = cypher.schema()
    for text in cypher.OUR_LABELS:
        assert f"FOR (n:{text}) REQUIRE n.id IS UNIQUE" in made[f"sheaf_{text.lower()}_id"]
    assert "FOR ()-[n:STATES]-() ON (n.triple_id)" in made["sheaf_states_triple_id"]
    assert all("IF NOT EXISTS" in statement for statement in made.values())


def _all_statements() -> dict[str, str]:
    return {
        name: value.statement if isinstance(value, Put) else value
        for name, value in vars(cypher).items()
        if name.isupper() and isinstance(value, str | Put)
    }


def test_nothing_needs_plugins_or_dynamic_names() -> None:
    for statement in _all_statements().values():
        assert "apoc" not in statement.lower()
        assert not re.search(r":\s*\$\(", statement)


def test_nodes_are_merged_on_their_id_alone() -> None:
    """A MERGE on more than the key makes a second node as soon as one value differs."""
    for statement in [*_all_statements().values(), cypher.entities(["Entity"]).statement]:
        for keys in re.findall(r"MERGE \(\w+:\w+ \{([^}]*)\}\)", statement):
            assert re.fullmatch(r"id: (r\.id|'graph')", keys), statement


def test_nothing_erases_what_others_have_set_on_nodes() -> None:
    for statement in [*_all_statements().values(), cypher.entities(["Entity"]).statement]:
        assert not re.search(r"SET [delmntfp] = (r\.)?(row|properties)", statement), statement
