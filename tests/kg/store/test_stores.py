"""The contract suite on the stores that need no server."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from kg import open_graph
from kg.store.protocol import GraphStore
from tests.kg.store.contract import StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    def new_graph(self) -> Callable[[], GraphStore]:
        return lambda: open_graph("memory://")


class TestEmbedded(StoreContract):
    @pytest.fixture
    def new_graph(self, tmp_path: Path) -> Callable[[], GraphStore]:
        numbers = itertools.count()
        return lambda: open_graph(tmp_path / f"graph-{next(numbers)}.kg")
