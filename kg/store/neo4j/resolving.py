"""Which raw entity is which entity, kept up to date for those that a write touches.

Let T be the touched raw entities with everything that the merge log joins to them. An entity
without a type joins the only typed one of its name, so raw entities without a type may change
theirs as soon as they share a name with one of T (the set U). To decide for T and U one needs all
ways of naming them and the typed raw entities of their names. Nothing else can have changed, so
the cost of a write depends on what it touches and not on the size of the graph.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kg.derivation import Naming, resolve
from kg.records import Merge
from kg.store.cypher import deriving as cypher
from kg.store.neo4j.rows import name_key, naming_id
from kg.store.neo4j.work import Work

__all__ = ["MergeLog", "Namings", "Resolution", "entities_of", "resolve_touched"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """What became of the raw entities that may have changed."""

    #: Raw entity → entity, for every raw entity that may have changed.
    canonical: Mapping[str, str]
    #: Raw entity → the entity that the database still has for it, where it has one.
    before: Mapping[str, str]
    #: Raw entity → all ways in which mentions name it, for the keys of `canonical`.
    namings: Mapping[str, Collection[Naming]]

    @property
    def moved(self) -> set[str]:
        """Raw entities whose entity is not the one that the database has."""
        return {raw for raw, id in self.canonical.items() if self.before.get(raw) != id}


class Namings:
    """Ways of naming, fetched once for each raw entity and name."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.by_raw: dict[str, dict[str, Naming]] = defaultdict(dict)
        self.keys: dict[str, set[str]] = defaultdict(set)
        self.entity: dict[str, str] = {}
        self._asked_raws: set[str] = set()
        self._asked_keys: set[str] = set()

    def fill(self, rows: Iterable[list[Any]], *, raws: Iterable[str], keys: Iterable[str]) -> None:
        """Take what was fetched already: all namings of `raws` and of what has one of `keys`."""
        self._asked_raws.update(raws, self._add(rows))
        self._asked_keys.update(keys)

    def add_new(self, namings: Iterable[Naming]) -> None:
        """Take namings that the database does not count yet."""
        for naming in namings:
            id, own = naming_id(naming), self.by_raw[naming.raw]
            held = own.get(id)
            times = naming.times + (held.times if held else 0)
            own[id] = naming._replace(times=times)
            self.keys[naming.raw].add(name_key(naming.name))

    def of_raws(self, raws: Iterable[str]) -> None:
        """Fetch all namings of raw entities."""
        new = set(raws) - self._asked_raws
        self._asked_raws |= new
        self._add(self._work.gather(cypher.NAMINGS_OF_RAWS, new))

    def of_keys(self, keys: Iterable[str]) -> set[str]:
        """Fetch what the names name, in full, and return those raw entities."""
        wanted = set(keys)
        new = wanted - self._asked_keys
        self._asked_keys |= new
        self.of_raws(self._add(self._work.gather(cypher.NAMINGS_OF_KEYS, new)))
        return {raw for raw, own in self.keys.items() if own & wanted}

    def _add(self, rows: Iterable[list[Any]]) -> set[str]:
        raws: set[str] = set()
        for id, *fields, key, entity in rows:
            naming = Naming(*fields)
            raws.add(naming.raw)
            self.by_raw[naming.raw].setdefault(id, naming)
            self.keys[naming.raw].add(key)
            if entity is not None:
                self.entity[naming.raw] = entity
        return raws

    def is_typed(self, raw: str) -> bool:
        """Say whether any naming gives the raw entity a type or an IRI."""
        return any(naming.type or naming.iri for naming in self.by_raw[raw].values())

    def keys_of(self, raws: Iterable[str]) -> set[str]:
        """Return the keys of all names of raw entities."""
        return set().union(*(self.keys.get(raw, set()) for raw in raws))


def resolve_touched(
    namings: Namings, merges: MergeLog, raws: Collection[str], keys: Collection[str] = ()
) -> Resolution:
    """Resolve again what a write has touched.

    Args:
        namings: what is known of namings; those of the write are in it already.
        merges: the merge log, those of the write included.
        raws: raw entities that were named, stated, merged or lost something.
        keys: keys of names that are no longer there.
    """
    touched = merges.close(raws)
    namings.of_raws(touched)
    sharing = namings.of_keys(namings.keys_of(touched) | set(keys))
    untyped = {raw for raw in sharing if not namings.is_typed(raw)}
    rivals = namings.of_keys(namings.keys_of(untyped))
    merges.close(sharing | rivals)
    known = [naming for own in namings.by_raw.values() for naming in own.values()]
    resolved = resolve(known, merges.rows.values())
    changed = sorted(touched | untyped)
    return Resolution(
        canonical={raw: resolved.get(raw, raw) for raw in changed},
        before={raw: namings.entity[raw] for raw in changed if raw in namings.entity},
        namings={raw: list(namings.by_raw.get(raw, {}).values()) for raw in changed},
    )


class MergeLog:
    """The part of the merge log that joins given raw entities."""

    def __init__(self, work: Work, *, empty: bool = False) -> None:
        self._work = work
        self._empty = empty
        self._seen: set[str] = set()
        self.rows: dict[tuple[str, str, str], Merge] = {}

    def close(self, raws: Iterable[str]) -> set[str]:
        """Return the raw entities with all that merges join to them."""
        reached, frontier = set(raws), set(raws) - self._seen
        while frontier and not self._empty:
            self._seen |= frontier
            found = self._work.each(cypher.MERGES_KEEPING, frontier)
            found += self._work.each(cypher.MERGES_DROPPING, frontier)
            for row in found:
                merge = Merge(*row)
                self.rows[merge.kept, merge.dropped, merge.run] = merge
            ends = {end for row in found for end in row[:2]}
            reached |= ends
            frontier = ends - self._seen
        return reached


def entities_of(work: Work, raws: Collection[str], resolution: Resolution) -> dict[str, str]:
    """Return the entity of any raw entities, by a resolution or as the database has it."""
    found = {raw: resolution.canonical[raw] for raw in raws if raw in resolution.canonical}
    others = {raw for raw in raws if raw not in found and raw.startswith("e_")}
    found.update(work.each(cypher.ENTITY_OF_RAWS, others))
    # Nothing names the rest (any more): only the merge log can say what they are.
    unnamed = others - found.keys()
    if unnamed:
        merges = MergeLog(work)
        merges.close(unnamed)
        resolved = resolve((), merges.rows.values())
        found.update({raw: resolved.get(raw, raw) for raw in unnamed})
    return found
