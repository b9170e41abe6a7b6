"""A whole graph as a folder of Parquet files, one for each kind of record: lossless.

`document`, `chunk`, `mention`, `evidence`, `config`, `run`, `task`, `merge`, `relation_name` and
`prediction` hold what was written, with the columns of `kg.exchange.archive.KINDS`; an import reads
these and gives an equal graph. `entity`, `literal` and `triple` hold what is derived, for pandas,
DuckDB, Spark and all others who only read.

```python
pandas.read_parquet("out/triple.parquet")
```

Rows stand in the order of their ids, so that the same graph gives the same bytes. Row groups are
written and read one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kg.errors import ExchangeError
from kg.exchange.archive import KINDS, Kind, Row, Type, rows
from kg.exchange.exporting import exported_folder
from kg.exchange.progress import Progress, counted, quiet
from kg.exchange.restoring import RestoreReport, restore
from kg.store.protocol import GraphStore

if TYPE_CHECKING:
    import pyarrow

__all__ = ["FORMAT", "is_archive", "read_parquet", "write_parquet"]

#: Version of the columns; a higher one was written by a newer library.
FORMAT: Final = 1
#: Rows of a row group; a document's row may be a book.
GROUP: Final = 20_000
GROUP_OF_DOCUMENTS: Final = 200

_VERSION: Final = b"sheaf.format"

#: Derived kind → column → type; `texts` is a list.
DERIVED: Final[Mapping[str, Mapping[str, str]]] = {
    "entity": {
        "id": "id", "name": "text", "types": "texts", "aliases": "texts", "description": "text",
        "iri": "text", "props": "json",
    },
    "literal": {"id": "id", "lexical": "text", "datatype": "text", "lang": "text"},
    "triple": {
        "id": "id", "head": "id", "relation": "text", "tail": "id", "predicate": "text",
        "score": "decimal", "support": "integer",
    },
}  # fmt: skip


def write_parquet(graph: GraphStore, folder: str | Path, *, progress: Progress = quiet) -> int:
    """Write a graph into a folder and return the number of its triples.

    Raises:
        ExchangeError: if the graph is changed meanwhile.
        OSError: if a file cannot be written.
    """
    triples = 0
    with exported_folder(graph, folder) as draft:
        for kind, columns in KINDS.items():
            _write(draft / f"{kind}.parquet", columns, counted(rows(graph, kind), progress))
        for name, found in derived_rows(graph).items():
            number = _write(draft / f"{name}.parquet", DERIVED[name], counted(found, progress))
            triples = number  # the last kind
    return triples


def read_parquet(
    graph: GraphStore, folder: str | Path, *, progress: Progress = quiet
) -> RestoreReport:
    """Restore the graph that `write_parquet` wrote.

    Raises:
        ExchangeError: if a file is missing, damaged or of another version.
        RecordError: if a record names one that is missing.
    """
    folder = Path(folder)
    for kind in KINDS:  # before anything is written
        _open(folder / f"{kind}.parquet", KINDS[kind]).close()
    return restore(graph, _rows(folder), source=str(folder), progress=progress)


def is_archive(folder: Path) -> bool:
    """Say whether a folder looks like one of `write_parquet`."""
    return (folder / "evidence.parquet").is_file() and (folder / "run.parquet").is_file()


def derived_rows(graph: GraphStore) -> dict[str, Iterator[Row]]:
    """Return derived kind → rows."""
    from kg.exchange.archive import fields

    return {
        "entity": map(fields, graph.derived("entity")),
        "literal": map(fields, graph.derived("literal")),
        "triple": map(fields, graph.derived("triple")),
    }


def _schema(columns: Mapping[str, str]) -> pyarrow.Schema:
    import pyarrow

    types = {
        "text": pyarrow.string(),
        "id": pyarrow.string(),
        "json": pyarrow.string(),
        "run": pyarrow.string(),
        "runs": pyarrow.list_(pyarrow.string()),
        "texts": pyarrow.list_(pyarrow.string()),
        "integer": pyarrow.int64(),
        "decimal": pyarrow.float64(),
        "flag": pyarrow.bool_(),
    }
    fields = [(name, types[type]) for name, type in columns.items()]
    return pyarrow.schema(fields, metadata={_VERSION: str(FORMAT).encode()})


def _write(path: Path, columns: Mapping[str, str], rows: Iterable[Row]) -> int:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    number = 0
    schema = _schema(columns)
    size = GROUP_OF_DOCUMENTS if "media_type" in columns else GROUP
    with ParquetWriter(path, schema, compression="zstd") as file:
        for group in batched(rows, size):
            file.write_table(pyarrow.Table.from_pylist(list(group), schema=schema))
            number += len(group)
    return number


def _open(path: Path, columns: Mapping[str, Type]) -> Any:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
    except FileNotFoundError:
        raise ExchangeError(
            f"{path} does not exist: give the folder that `sheaf export --format parquet` made"
        ) from None
    except (ArrowException, OSError) as error:
        raise ExchangeError(f"{path} is not a Parquet file ({error}): export it again") from None
    version = (file.schema_arrow.metadata or {}).get(_VERSION, b"")
    if not version.isdigit() or int(version) > FORMAT:
        raise ExchangeError(
            f"{path} has format {version.decode() or '(none)'}, and this version of sheaf reads "
            f"up to {FORMAT}: upgrade sheaf, or give a folder that it exported"
        )
    if missing := set(columns) - set(file.schema_arrow.names):
        raise ExchangeError(f"{path} lacks the columns {', '.join(sorted(missing))}")
    return file


def _rows(folder: Path) -> Iterator[tuple[Kind, Row]]:
    from pyarrow import ArrowException

    for kind, columns in KINDS.items():
        path = folder / f"{kind}.parquet"
        with _open(path, columns) as file:
            size = GROUP_OF_DOCUMENTS if kind == "document" else GROUP
            try:
                for batch in file.iter_batches(batch_size=size, columns=list(columns)):
                    yield from ((kind, row) for row in batch.to_pylist())
            except (ArrowException, OSError) as error:
                raise ExchangeError(f"{path} is damaged ({error}): export it again") from None
