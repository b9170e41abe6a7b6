"""The formats of `export` and `import`: how each is recognised, written and read.

| format | suffix | file | carries |
|---|---|---|---|
| nq, trig | .nq .trig | RDF with named graphs | everything |
| parquet | .parquet | folder of tables | everything |
| ttl, nt | .ttl .nt | RDF | entities and triples with scores |
| graphml | .graphml | XML for Gephi, yEd, networkx | entities and triples with scores |
| tsv | .tsv | ids for PyKEEN, names beside | entities and triples |
| langchain | .jsonl | GraphDocuments, one a line | texts, entities, triples with evidence |
| llamaindex | .json | property graph of LlamaIndex | chunks, entities, triples with scores |
| graphrag | – | folder of GraphRAG's tables | texts, entities, triples with scores |
| neo4j-csv | – | folder for `neo4j-admin database import` | everything; export only |

"Everything" means that an import gives a graph of equal hash, with its runs. The others give equal
ids of triples; what they carry becomes evidence of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from kg.errors import ExchangeError
from kg.exchange.facts import FactReport
from kg.exchange.progress import Progress, quiet
from kg.exchange.restoring import RestoreReport
from kg.store.protocol import GraphStore

__all__ = ["ExportReport", "Format", "export_graph", "format_of", "import_graph"]


class Format(StrEnum):
    """The formats by name."""

    nq = "nq"
    trig = "trig"
    ttl = "ttl"
    nt = "nt"
    parquet = "parquet"
    graphml = "graphml"
    tsv = "tsv"
    langchain = "langchain"
    llamaindex = "llamaindex"
    graphrag = "graphrag"
    neo4j_csv = "neo4j-csv"


#: Suffixes that are not the name of their format.
SUFFIXES: Final = {"jsonl": Format.langchain, "json": Format.llamaindex}
_BY_OPTION: Final = (*SUFFIXES.values(), Format.graphrag, Format.neo4j_csv)
_BY_NAME: Final = {format.value: format for format in Format if format not in _BY_OPTION}


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote."""

    triples: int
    files: tuple[str, ...]
    #: Triples left out because their tail is a literal.
    literals_left_out: int = 0


def format_of(path: Path, chosen: Format | None = None) -> Format:
    """Return the format of a path: the chosen one, else by suffix, else by what the folder holds.

    Raises:
        ExchangeError: if nothing tells.

    >>> format_of(Path("a.ttl")), format_of(Path("a.jsonl"))
    (<Format.ttl: 'ttl'>, <Format.langchain: 'langchain'>)
    """
    if chosen is not None:
        return chosen
    suffix = path.suffix.lower().removeprefix(".")
    found = _BY_NAME.get(suffix) or SUFFIXES.get(suffix)
    if found is None and path.is_dir():
        from kg.exchange.graphrag import is_graphrag
        from kg.exchange.parquet import is_archive

        tests = ((is_archive, Format.parquet), (is_graphrag, Format.graphrag))
        found = next((format for test, format in tests if test(path)), None)
    if found is None:
        known = ", ".join(f".{name}" for name in (*_BY_NAME, *SUFFIXES))
        raise ExchangeError(
            f"{path} has the suffix {path.suffix or '(none)'}: name it {known}, or give --format "
            f"({', '.join(Format)})"
        )
    return found


def export_graph(
    graph: GraphStore,
    path: Path,
    *,
    format: Format,
    literals: bool = False,
    progress: Progress = quiet,
) -> ExportReport:
    """Write a graph in a format.

    Args:
        graph: an open graph.
        path: the file, or the folder of parquet and graphrag.
        format: see the table above.
        literals: also triples with a literal, for tsv; the others always have them, graphrag never.
        progress: told how many rows were written.

    Raises:
        ExchangeError: if the graph is changed meanwhile.
        OSError: if a file cannot be written.
    """
    match format:
        case Format.nq | Format.trig | Format.ttl | Format.nt:
            from kg.exchange.rdf import write_rdf

            return _report(path, write_rdf(graph, path, format=format.value, progress=progress))
        case Format.parquet:
            from kg.exchange.parquet import write_parquet

            return _report(path, write_parquet(graph, path, progress=progress))
        case Format.graphml:
            from kg.exchange.graphml import write_graphml

            return _report(path, write_graphml(graph, path, progress=progress))
        case Format.tsv:
            from kg.exchange.tables import labels_path, write_table

            table = write_table(graph, path, literals=literals, progress=progress)
            files = (str(path), str(labels_path(path)))
            return ExportReport(table.triples, files, table.literals_left_out)
        case Format.langchain:
            from kg.exchange.langchain import write_langchain

            return _report(path, write_langchain(graph, path, progress=progress))
        case Format.llamaindex:
            from kg.exchange.llamaindex import write_llamaindex

            return _report(path, write_llamaindex(graph, path, progress=progress))
        case Format.graphrag:
            from kg.exchange.graphrag import write_graphrag

            tables = write_graphrag(graph, path, progress=progress)
            return ExportReport(tables.triples, (str(path),), tables.literals_left_out)
        case Format.neo4j_csv:
            from kg.store.neo4j.admin_import import write_admin_csv

            write_admin_csv(graph, path)
            return _report(path, graph.stats().triples)


def _report(path: Path, triples: int) -> ExportReport:
    return ExportReport(triples, (str(path),))


def import_graph(
    graph: GraphStore, path: Path, *, format: Format, progress: Progress = quiet
) -> RestoreReport | FactReport:
    """Read a file or folder into a graph.

    Raises:
        ExchangeError: if it is missing or is not of the format.
        RecordError: if a record in it breaks its contract.
    """
    if format in (Format.nq, Format.trig, Format.ttl, Format.nt):
        from kg.exchange.rdf import read_rdf

        return read_rdf(graph, path, format=format.value, progress=progress)
    return _reader(format)(graph, path, progress=progress)


def _reader(format: Format) -> Callable[..., RestoreReport | FactReport]:
    match format:
        case Format.parquet:
            from kg.exchange.parquet import read_parquet

            return read_parquet
        case Format.graphml:
            from kg.exchange.graphml import read_graphml

            return read_graphml
        case Format.tsv:
            from kg.exchange.tables import read_table

            return read_table
        case Format.langchain:
            from kg.exchange.langchain import read_langchain

            return read_langchain
        case Format.llamaindex:
            from kg.exchange.llamaindex import read_llamaindex

            return read_llamaindex
        case Format.graphrag:
            from kg.exchange.graphrag import read_graphrag

            return read_graphrag
        case _:
            raise ExchangeError(
                f"{format} can only be exported: read it with `neo4j-admin database import`, and "
                "the database is a graph of its own"
            )
