"""A title for every node, for formats that join edges to nodes by title.

Two things may bear one name. The type is then put behind the name, and the id too where that is
not enough, so that no title stands for two nodes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

from kg.exchange.scratch import Scratch
from kg.store.protocol import GraphStore

__all__ = ["nodes_of", "unique_titles"]


def nodes_of(graph: GraphStore, *, literals: bool) -> Iterator[tuple[str, str, str]]:
    """Iterate over id, name and type of entities, and of literals if asked."""
    for entity in graph.derived("entity"):
        yield entity.id, entity.name, entity.types[0] if entity.types else ""
    for literal in graph.derived("literal") if literals else ():
        yield literal.id, literal.lexical, literal.datatype or "text"


def unique_titles(nodes: Iterable[tuple[str, str, str]], titles: Scratch) -> None:
    """Put a title for each (id, name, type) into `titles`, under the id.

    >>> with Scratch() as titles:
    ...     nodes = [("e_1", "Paris", "City"), ("e_2", "Paris", "Person"), ("e_3", "Rome", "City")]
    ...     unique_titles(nodes, titles)
    ...     [title for _, title in titles]
    ['Paris (City)', 'Paris (Person)', 'Rome']
    """
    with Scratch() as by_name, Scratch() as by_title:
        for id, name, type in nodes:
            by_name.add(name, json.dumps([id, type]))
        for name, bearers in _groups(by_name):
            for id, type in map(json.loads, bearers):
                shared = len(bearers) > 1 or not name.strip()
                by_title.add(f"{name} ({type or 'unknown'})" if shared else name, id)
        for title, ids in _groups(by_title):
            for id in ids:
                titles.add(id, f"{title} ({id})" if len(ids) > 1 else title)


def _groups(scratch: Scratch) -> Iterator[tuple[str, list[str]]]:
    for key, pairs in groupby(scratch, key=itemgetter(0)):
        yield key, [value for _, value in pairs]
