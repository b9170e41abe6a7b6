"""Exporting and importing a synthetic graph in every format: rows per second and memory.

```
python -m benchmarks.exchange --json
python -m benchmarks.exchange --triples 1000000 --formats nq parquet --json
```

The graph (`benchmarks.synthetic`: texts, chunks, mentions, evidence with quotes and spans) lies in
an embedded store. Every export and import runs in a process of its own, so that its peak memory is
its own. `base_mb` is the process with the graph open and derived, before the export: what the store
takes, whatever the format. `grown_mb` is what the export or import took beyond that.

Peers do a part of the same with what is in memory already: rdflib serialises and parses the same
N-Quads, pandas writes and reads the same triples as Parquet, networkx the same GraphML. They have
no store to write into, so their import is only the parsing.

Times are wall clock of one machine at one moment; `cpu_seconds`, of the process and the store's
reader, hold on a busy machine too. Everything is done with half of the triples as well: the
projection to 10 M triples takes time as proportional, and memory as growing on as between the two,
which says something only for sizes that fill the batches (`kg.exchange`: 20,000 rows and less).
Memory is read from `/proc`, so Linux only.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.synthetic import CONFIG, batches
from kg import open_graph
from kg.exchange.formats import Format

__all__ = ["main", "measure"]

PROJECTED: Final = 10_000_000
#: Formats that peers read and write as a whole in memory, and triples that they get.
PEER_TRIPLES: Final = 50_000

_BEGIN: Final = """
import resource, sys, time
from pathlib import Path
def peak():
    # Not ru_maxrss, which begins with what the parent had.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
def cpu():
    return sum(use.ru_utime + use.ru_stime for use in map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""
EXPORT: Final = (
    _BEGIN
    + """
from kg import open_graph
from kg.exchange.formats import Format, export_graph
graph = open_graph(sys.argv[1], create=False)
next(graph.derived("triple")), next(graph.written("evidence"))
base, began, used = peak(), time.perf_counter(), cpu()
report = export_graph(graph, Path(sys.argv[2]), format=Format(sys.argv[3]))
seconds = time.perf_counter() - began
graph.close()
print(seconds, cpu() - used, base, peak(), report.triples)
"""
)
IMPORT: Final = (
    _BEGIN
    + """
from kg import open_graph
from kg.exchange.formats import Format, import_graph
graph = open_graph(sys.argv[1])
base, began, used = peak(), time.perf_counter(), cpu()
report = import_graph(graph, Path(sys.argv[2]), format=Format(sys.argv[3]))
seconds = time.perf_counter() - began
graph.close()
print(seconds, cpu() - used, base, peak(), report.created)
"""
)
#: Name → what a peer writes and reads; `path` is our export, `out` its own.
PEERS: Final = {
    "rdflib_nq": (
        "nq",
        "import rdflib\ndata = rdflib.Dataset()",
        "data.parse(path, format='nquads')",
        "data.serialize(out, format='nquads')",
    ),
    "networkx_graphml": (
        "graphml",
        "import networkx",
        "data = networkx.read_graphml(path, force_multigraph=True)",
        "networkx.write_graphml_xml(data, out)",
    ),
    "pandas_parquet": (
        "parquet",
        "import pandas, pathlib\nnames = [p.name for p in pathlib.Path(path).glob('*.parquet')]",
        "data = {name: pandas.read_parquet(f'{path}/{name}') for name in names}",
        "pathlib.Path(out).mkdir(); "
        "[frame.to_parquet(f'{out}/{name}') for name, frame in data.items()]",
    ),
}


def measure(triples: int, formats: Sequence[Format], *, peers: bool) -> dict[str, Any]:
    """Return rates and memory for a graph of this many triples and for one of half of them."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        result: dict[str, Any] = {
            "triples": triples,
            "machine": platform.machine(),
            "python": platform.python_version(),
            "formats": {},
        }
        graphs = {size: _graph(folder / f"{size}.kg", size) for size in (triples // 2, triples)}
        for format in formats:
            half, full = (
                _one(folder, graphs[size], size, format) for size in (triples // 2, triples)
            )
            for action in ("export", "import"):
                found, before = full[action], half[action]
                ratio = PROJECTED / triples
                found["grown_mb_at_half"] = before["grown_mb"]
                found["hours_at_10m"] = round(found["cpu_seconds"] * ratio / 3600, 2)
                slope = max(found["grown_mb"] - before["grown_mb"], 0) / (triples - triples // 2)
                found["grown_mb_at_10m"] = round(found["grown_mb"] + slope * (PROJECTED - triples))
            result["formats"][format.value] = full
        if peers:
            result["peers"] = _peers(folder, min(triples, PEER_TRIPLES))
        return result


def _graph(path: Path, triples: int) -> Path:
    graph = open_graph(path)
    run = graph.begin_run(CONFIG).id
    for batch in batches(triples):
        graph.write(batch, run=run)
    graph.finish_run(run, {"triples": triples})
    next(graph.derived("triple"))
    graph.close()
    return path


def _one(folder: Path, graph: Path, triples: int, format: Format) -> dict[str, Any]:
    file, copy = folder / f"{triples}.{format}", folder / "copy.kg"
    exported = _run(EXPORT, str(graph), str(file), format.value, triples=triples)
    exported["mb"] = round(_size(file) / 1e6, 1)
    imported = _run(IMPORT, str(copy), str(file), format.value, triples=triples)
    shutil.rmtree(copy)
    if file.is_dir():
        shutil.rmtree(file)
    else:
        file.unlink()
    return {"export": exported, "import": imported}


def _run(script: str, *words: str, triples: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", script, *words], check=True, capture_output=True, text=True
    )
    seconds, cpu, base, peak, rows = map(float, done.stdout.split())
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "triples_per_second": round(triples / seconds),
        "triples_per_cpu_second": round(triples / cpu),
        "base_mb": round(base),
        "peak_mb": round(peak),
        "grown_mb": round(peak - base),
        "rows": int(rows),
    }


def _size(file: Path) -> int:
    paths = file.iterdir() if file.is_dir() else [file]
    return sum(path.stat().st_size for path in paths)


def _peers(folder: Path, triples: int) -> dict[str, Any]:
    """Let peers read what we exported, and write it again."""
    graph = _graph(folder / "peers.kg", triples)
    found = {}
    for name, (format, prepare, read, write) in PEERS.items():
        file, out = folder / f"peer.{format}", folder / f"{name}.out"
        ours = _run(EXPORT, str(graph), str(file), format, triples=triples)
        script = _BEGIN + "\n".join(
            [
                "path, out = sys.argv[1:3]",
                prepare,
                "base, began = peak(), time.perf_counter()",
                read,
                "seconds = time.perf_counter() - began",
                "began = time.perf_counter()",
                write,
                "print(seconds, time.perf_counter() - began, base, peak())",
            ]
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, str(file), str(out)],
            check=True,
            capture_output=True,
            text=True,
        )
        reading, writing, base, peak = map(float, done.stdout.split())
        found[name] = {
            "triples": triples,
            "read_triples_per_second": round(triples / reading),
            "write_triples_per_second": round(triples / writing),
            "grown_mb": round(peak - base),
            "our_export_triples_per_second": ours["triples_per_second"],
            "our_export_grown_mb": ours["grown_mb"],
        }
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--triples", type=int, default=200_000)
    parser.add_argument("--formats", nargs="+", type=Format, default=list(Format))
    parser.add_argument("--peers", action="store_true", help="also rdflib, networkx and pandas")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    result = measure(options.triples, options.formats, peers=options.peers)
    if options.json:
        print(json.dumps(result))
        return
    for name, found in result["formats"].items():
        for action in ("export", "import"):
            print(f"{name:10} {action}", found[action])
    for name, found in result.get("peers", {}).items():
        print(f"{name:10} peer  ", found)


if __name__ == "__main__":
    main()
