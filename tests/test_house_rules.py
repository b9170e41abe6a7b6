"""The rules of the house that no linter knows: import direction, file sizes, documented names."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("kg", "retrieval", "harvest")
#: What each package may import of ours: kg ← retrieval ← harvest.
ALLOWED = {"kg": {"kg"}, "retrieval": {"kg", "retrieval"}, "harvest": {*PACKAGES, "sheaf"}}
#: Third-party packages that the core must not load by itself.
HEAVY = ("torch", "transformers", "spacy", "networkx", "faiss", "neo4j", "numpy")
LONGEST = 500


def sources(package: str) -> Iterator[Path]:
    yield from sorted((ROOT / package).rglob("*.py"))


ALL_SOURCES = [path for package in PACKAGES for path in sources(package)] + [ROOT / "sheaf.py"]


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    for path in sources(package):
        tops = {name.partition(".")[0] for name in imported(ast.parse(path.read_text()))}
        foreign = tops & {*PACKAGES, "sheaf"} - ALLOWED[package]
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def loaded_by(statement: str) -> set[str]:
    script = f"import sys; {statement}; print(*sorted(m.partition('.')[0] for m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("package", [*PACKAGES, "sheaf"])
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    assert not loaded_by(f"import {package}") & set(HEAVY)


@pytest.mark.parametrize("path", ALL_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_one_concept_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_half_of_all_files_are_short() -> None:
    lengths = sorted(len(path.read_text().splitlines()) for path in ALL_SOURCES)
    assert lengths[len(lengths) // 2] <= 200


def public_names() -> Iterator[tuple[str, str]]:
    for path in ALL_SOURCES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
                yield from ((module, name) for name in ast.literal_eval(node.value))


@pytest.mark.parametrize(("module", "name"), list(public_names()), ids=lambda value: value)
def test_public_names_exist_and_are_documented(module: str, name: str) -> None:
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value), f"{module}.{name} has no docstring"


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT)
    return [ROOT / name for name in done.stdout.splitlines()]


def test_no_path_of_one_machine_is_committed() -> None:
    pattern = re.compile(r"(?<![\w.])/(?:work|root|home/\w+)/")
    this = Path(__file__)
    for path in tracked():
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".ipynb", ".cfg"} and path != this:
            found = pattern.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path.relative_to(ROOT)}: {found}"


def test_shipped_weights_are_small_and_described() -> None:
    weights = [path for path in tracked() if path.suffix == ".safetensors"]
    assert sum(path.stat().st_size for path in weights) < 20_000_000
    for path in weights:
        cards = [*path.parent.glob("*card*.md"), *path.parent.parent.glob("*card*.md")]
        assert cards, f"{path.relative_to(ROOT)} has no model card beside it"
