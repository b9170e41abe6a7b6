"""Harvests in processes of their own, to be killed, doubled and watched by tests.

    python -m tests.harvest.killing URI FOLDER --log LOG [--harvester linking|text] [--delay S]

harvests like `sheaf harvest` and prints the report as JSON. Every extraction adds a line "process
chunk" to the log before it begins, so a test can count how often a chunk was read, also by a
process that was killed. `kill_and_resume` works on any store URI and with any harvester.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kg
from harvest.job import Harvester, harvest
from kg.records import Batch, Chunk, Config, Document, Mention

ROOT = Path(__file__).parents[2]
#: Seconds that one process may take before the test gives up.
PATIENCE = 300.0


@dataclass
class Logged:
    """A harvester that writes down each extraction before it begins."""

    inner: Harvester
    log: Path

    @property
    def config(self) -> Config:
        return self.inner.config

    @property
    def report(self) -> Mapping[str, int]:
        return self.inner.report

    def chunks(self, document: Document) -> Sequence[Chunk]:
        return self.inner.chunks(document)

    def extract(self, document: Document, chunk: Chunk, *, known: Sequence[Mention] = ()) -> Batch:
        with self.log.open("a") as log:  # closed before the work: a kill loses no line
            log.write(f"{os.getpid()} {chunk.id}\n")
        return self.inner.extract(document, chunk, known=known)


def read_log(log: Path) -> list[tuple[int, str]]:
    """Return (process, chunk) of each extraction so far."""
    if not log.exists():
        return []
    lines = (line.split() for line in log.read_text().splitlines())
    return [(int(process), chunk) for process, chunk in lines]


def start(
    uri: str, folder: Path, log: Path, *, harvester: str = "linking", delay: float = 0.0
) -> subprocess.Popen[str]:
    """Start a harvest in a process of its own."""
    arguments = [uri, str(folder), "--log", str(log), "--harvester", harvester]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.harvest.killing", *arguments, "--delay", str(delay)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"},
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a harvest and return its report."""
    out, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    return report


@dataclass
class Ordeal:
    """What happened to a harvest that was killed again and again."""

    kills: int = 0
    #: Chunks that were written when a process died, and were read again afterwards.
    read_again: list[str] = field(default_factory=list)
    #: Number of written chunks at each look, and which they were at the last.
    counts: list[int] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    extractions: Counter[str] = field(default_factory=Counter)
    report: dict[str, Any] = field(default_factory=dict)


def kill_and_resume(
    uri: str,
    folder: Path,
    log: Path,
    *,
    kills: int,
    seed: int,
    harvester: str = "linking",
    delay: float = 0.002,
    step: int = 30,
) -> Ordeal:
    """Harvest a folder, killing the process at random moments, and then once to the end.

    Moments are drawn by a seeded generator: mostly some milliseconds after up to `step` more
    extractions, sometimes a fraction of a second after the start, when the process opens the
    graph and claims its first tasks.

    Raises:
        AssertionError: if a process ends by itself before it could be killed: then the folder is
            too small for so many kills.
    """
    rng = random.Random(seed)
    ordeal = Ordeal()
    while ordeal.kills < kills:
        before = len(read_log(log))
        process = start(uri, folder, log, harvester=harvester, delay=delay)
        early = rng.random() < 0.2
        more, pause = rng.randint(1, step), rng.uniform(0, 0.6 if early else 0.03)
        deadline = time.monotonic() + PATIENCE
        while not early and len(read_log(log)) < before + more:
            assert process.poll() is None, (
                f"a harvest ended by itself after {ordeal.kills} kills: {process.communicate()}"
            )
            assert time.monotonic() < deadline, "a harvest stands still"
            time.sleep(0.001)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "a harvest ended by itself before its kill"
        ordeal.kills += 1
        _look(ordeal, uri, log)
    ordeal.report = finish(start(uri, folder, log, harvester=harvester))
    _look(ordeal, uri, log)
    return ordeal


def _look(ordeal: Ordeal, uri: str, log: Path) -> None:
    """Compare what is written with what was read since the last look."""
    extractions = [chunk for _, chunk in read_log(log)]
    new = extractions[ordeal.extractions.total() :]
    ordeal.read_again += [chunk for chunk in new if chunk in ordeal.written]
    ordeal.extractions.update(new)
    graph = kg.open_graph(uri)
    ordeal.written = {task.chunk for task in graph.written("task")}
    graph.close()
    ordeal.counts.append(len(ordeal.written))


def _make(name: str, delay: float) -> Harvester:
    if name == "text":
        import torch

        from harvest.extraction.harvester import TextHarvester

        torch.set_num_threads(1)
        extractor: Harvester = TextHarvester()
        return extractor
    from tests.harvest.linking import LinkingHarvester

    return LinkingHarvester(delay=delay)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--harvester", choices=["linking", "text"], default="linking")
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    graph = kg.open_graph(options.uri)
    harvester = Logged(_make(options.harvester, options.delay), options.log)
    report = harvest(graph, [options.folder], harvester=harvester)
    graph.close()
    sys.stdout.write(json.dumps(report.as_dict()) + "\n")


if __name__ == "__main__":
    main()
