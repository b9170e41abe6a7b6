"""Filling Grafeo: nodes and edges in large batches, while the next batch is being derived.

About a third of the engine's work on a batch needs no interpreter, so it takes batches on a thread
of its own. Python's cycle collector is held back meanwhile: it would walk millions of live
dictionaries again and again, and none of them is in a cycle.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

from grafeo import GrafeoDB

__all__ = ["Filler", "collector_held"]

#: Source and target by our ids, type and properties.
type Edge = tuple[str, str, str, dict[str, Any]]

#: Edges given to the engine at once.
BATCH: Final = 20_000
#: Batches that may wait for the engine.
WAITING: Final = 2


@contextmanager
def collector_held() -> Iterator[None]:
    """Hold Python's cycle collector back, where millions of objects are made and kept."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Filler(Container[str]):
    """Takes nodes and edges by our ids and makes them in that order; leaving waits for the last."""

    def __init__(self, engine: GrafeoDB) -> None:
        self.engine = engine
        #: Our id → the engine's, of the nodes made or asked for here.
        self._nodes: dict[str, int] = {}
        self._edges: list[Edge] = []
        self._worker = ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._worker.shutdown(cancel_futures=True)

    def __getitem__(self, id: str) -> int:
        """Return the engine's id of a node.

        Raises:
            KeyError: if there is no such node.
        """
        self._finish()
        return self._node(id)

    def __contains__(self, id: object) -> bool:
        self._finish()
        return id in self._nodes or bool(self.engine.find_nodes_by_property("id", id))

    def nodes(self, labels: str | list[str], rows: Iterable[Mapping[str, Any]]) -> None:
        """Make nodes; each row holds its `id`."""
        properties = [dict(row) for row in rows]
        if properties:
            self._submit(self._make_nodes, labels, properties)

    def edge(self, source: str, target: str, type: str, properties: dict[str, Any]) -> None:
        """Make an edge between two nodes that were made before."""
        self._edges.append((source, target, type, properties))
        if len(self._edges) >= BATCH:
            self._hand_over()

    def _hand_over(self) -> None:
        edges, self._edges = self._edges, []
        if edges:
            self._submit(self._make_edges, edges)

    def _submit(self, work: Callable[..., None], *arguments: Any) -> None:
        while len(self._pending) >= WAITING:
            self._pending.popleft().result()
        self._pending.append(self._worker.submit(work, *arguments))

    def _finish(self) -> None:
        self._hand_over()
        while self._pending:
            self._pending.popleft().result()

    def _make_nodes(self, labels: str | list[str], properties: list[dict[str, Any]]) -> None:
        made = self.engine.batch_create_nodes_with_props(labels, properties)
        self._nodes.update(zip((row["id"] for row in properties), made, strict=True))

    def _make_edges(self, edges: list[Edge]) -> None:
        node, nodes = self._node, self._nodes
        self.engine.batch_create_edges(
            [
                (
                    nodes[source] if source in nodes else node(source),
                    nodes[target] if target in nodes else node(target),
                    type,
                    properties,
                )
                for source, target, type, properties in edges
            ]
        )

    def _node(self, id: str) -> int:
        node = self._nodes.get(id)
        if node is None:
            found = self.engine.find_nodes_by_property("id", id)
            if not found:
                raise KeyError(id)
            node = self._nodes[id] = found[0]
        return node
