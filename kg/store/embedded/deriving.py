"""Derivation from the record at the speed of a million triples: integer keys, no record objects.

`kg.derivation` says what is derived; here is how the embedded store gets there without making an
object for each piece of evidence. Names are resolved and entities made by the functions of that
module; evidence comes from SQLite in rows of keys, is grouped by the triple that it states, and a
group is fused by the same `tally`. `tests/kg/store/test_deriving.py` holds the two equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from kg.derivation import (
    Naming,
    RelationMap,
    Vote,
    derive_entities,
    predicted_only,
    resolve,
    tally,
)
from kg.records import Config, Entity, Prediction, RelationName
from kg.store.embedded import reading
from kg.store.embedded.record import Record, hex_id

__all__ = ["Ends", "Groups", "Sight", "facts", "triple_digest"]

#: Canonical head, relation type and canonical tail: what a triple is.
type Ends = tuple[str, str, str]
#: For each triple that evidence states, the keys of that evidence and the vote of each; None where
#: it states the triple without supporting it.
type Groups = Mapping[Ends, Sequence[tuple[int, Vote | None]]]

#: Evidence as derivation needs it: key, raw head, raw tail or none, literal or none, raw phrase,
#: score, source, and whether it is silent (negated, or hedged by a config that does not count it).
EVIDENCE = (
    "SELECT key, head, tail, literal, relation, score, source, "
    "negated OR (hedged AND config NOT IN ({asking})) FROM evidence"
)


def triple_digest(ends: Ends) -> bytes:
    """Return the 16 bytes of a triple's id, as `kg.ids.triple_id` makes it.

    Ids and relation types are plain ASCII, so that nothing in the array has to be escaped.

    >>> from kg.ids import triple_id
    >>> ends = ("e_" + "0" * 32, "BORN_IN", "e_" + "1" * 32)
    >>> "t_" + triple_digest(ends).hex() == triple_id(*ends)
    True
    """
    head, relation, tail = ends
    text = f'["kg1","t","{head}","{relation}","{tail}"]'
    return blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True)
class Sight:
    """One consistent state of the record as derivation sees it; made inside a snapshot."""

    record: Record

    @cached_property
    def configs(self) -> dict[str, Config]:
        """Config id → config."""
        return {config.id: config for config in reading.written(self.record, "config", {})}

    @cached_property
    def relation_names(self) -> list[RelationName]:
        """The relation map."""
        return list(reading.written(self.record, "relation_name", {}))

    @cached_property
    def relations(self) -> RelationMap:
        """The relation map, ready to look phrases up."""
        return RelationMap(self.relation_names)

    @cached_property
    def raws(self) -> dict[int, str]:
        """Key → raw entity id."""
        rows = self.record.execute("SELECT key, id FROM raw")
        return {key: hex_id("e", id) for key, id in rows}

    @cached_property
    def literals(self) -> dict[int, str]:
        """Key → literal id."""
        rows = self.record.execute("SELECT key, id FROM literal")
        return {key: hex_id("l", id) for key, id in rows}

    @cached_property
    def counts(self) -> dict[int, int]:
        """Key of a naming → in how many mentions; a naming without any is not there."""
        return dict(
            self.record.execute("SELECT naming, count(*) FROM mention GROUP BY naming").fetchall()
        )

    @cached_property
    def namings(self) -> dict[int, Naming]:
        """Key → naming, of those that mentions use."""
        configs = dict(self.record.execute("SELECT key, id FROM config").fetchall())
        rows = self.record.execute(
            "SELECT key, raw, name, surface, type, iri, description, props, config FROM naming"
        )
        raws, counts = self.raws, self.counts
        return {
            key: Naming._make((raws[raw], *own, hex_id("f", configs[config]), counts[key]))
            for key, raw, *own, config in rows
            if key in counts
        }

    @cached_property
    def canonical(self) -> dict[str, str]:
        """Raw entity id → entity id."""
        return resolve(self.namings.values(), reading.written(self.record, "merge", {}))

    @cached_property
    def moved(self) -> dict[str, str]:
        """Raw entity id → entity id, where they differ."""
        return {raw: id for raw, id in self.canonical.items() if raw != id}

    def entities(self, only: Iterable[Naming] | None = None) -> dict[str, Entity]:
        """Return the entities that all namings, or `only` these, name."""
        namings = self.namings.values() if only is None else only
        return derive_entities(namings, self.canonical, self.configs)

    def groups(self, where: str = "", parameters: Sequence[Any] = ()) -> Groups:
        """Return evidence by the triple that it states, all or that of a condition in SQL."""
        canonical = {key: self.canonical.get(raw, raw) for key, raw in self.raws.items()}
        literals, relations = self.literals, self.relations
        phrases: dict[str, tuple[str, str, bool]] = {}
        groups: dict[Ends, list[tuple[int, Vote | None]]] = defaultdict(list)
        rows = self.record.execute(f"{self._evidence} {where}", parameters)
        for key, head, tail, literal, phrase, score, source, silent in rows:
            known = phrases.get(phrase)
            if known is None:
                relation, predicate, swapped, symmetric = relations.look_up(phrase)
                known = phrases[phrase] = (relation, predicate, swapped or symmetric)
            relation, predicate, turns = known
            ends = (
                canonical[head],
                relation,
                literals[literal] if tail is None else canonical[tail],
            )
            if turns:
                ends = relations.ends(ends[0], phrase, ends[2])
            groups[ends].append((key, None if silent else (source, score, predicate)))
        return groups

    @property
    def _evidence(self) -> str:
        asking = [
            f"x'{config.id[2:]}'"
            for config in self.configs.values()
            if config.parameters.get("include_hedged")
        ]
        return EVIDENCE.format(asking=f"SELECT key FROM config WHERE id IN ({','.join(asking)})")

    def predicted(self, entities: Container[str], triples: Container[str]) -> list[Prediction]:
        """Return the links that only predictions support, see `kg.derivation.predicted_only`."""
        predictions = reading.written(self.record, "prediction", {})
        return predicted_only(predictions, self.canonical, entities, triples, self.relation_names)


def facts(groups: Groups) -> Iterator[tuple[bytes, Ends, dict[str, Any] | None]]:
    """Yield the digest of each triple's id, its ends, and the properties of its edge.

    They are those of `kg.store.shape.triple_properties`; None for a triple that is stated and not
    supported.
    """
    for ends, rows in groups.items():
        digest = triple_digest(ends)
        votes = [vote for _, vote in rows if vote is not None]
        if not votes:
            yield digest, ends, None
            continue
        predicate, score, support = tally(votes)
        properties = {
            "id": f"t_{digest.hex()}",
            "predicate": predicate,
            "score": score,
            "support": support,
        }
        yield digest, ends, properties
