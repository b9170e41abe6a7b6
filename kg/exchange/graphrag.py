"""The Parquet tables of Microsoft's GraphRAG: entities, relationships, text_units, documents.

GraphRAG joins edges to entities by *title*, so titles are made unique (`kg.exchange.titles`).
Its edges have a sentence and no relation. An export writes the sentence from the triple and its
quotes, and puts relation, predicate and score into columns of their own, which GraphRAG leaves
alone and an import of ours reads again. `weight`, which drives the Leiden clustering, is the number
of independent sources. `n_tokens` counts words.

An edge of GraphRAG's own becomes `RELATED_TO`, stated by its text units; the sentence is kept as
hedged evidence, since it sums up what the text units say, and as plain evidence if there are none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import batched, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from kg.errors import ExchangeError
from kg.exchange.canonical import canonical_ids
from kg.exchange.exporting import exported_folder
from kg.exchange.facts import Fact, FactReport, Passage, file_hash, phrase_of, write_facts
from kg.exchange.progress import Progress, counted, quiet
from kg.exchange.scratch import Scratch
from kg.exchange.stated import stated_triples
from kg.exchange.titles import nodes_of, unique_titles
from kg.ids import entity_id
from kg.records import Document, Entity
from kg.store.protocol import GraphStore

__all__ = ["GraphRAGReport", "is_graphrag", "read_graphrag", "write_graphrag"]

#: Table → column → type: `text`, `texts`, `integer` or `decimal`.
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "entities": {
        "id": "text", "human_readable_id": "integer", "title": "text", "type": "text",
        "description": "text", "text_unit_ids": "texts", "frequency": "integer",
        "degree": "integer", "name": "text", "types": "texts", "iri": "text",
    },
    "relationships": {
        "id": "text", "human_readable_id": "integer", "source": "text", "target": "text",
        "description": "text", "weight": "decimal", "combined_degree": "integer",
        "text_unit_ids": "texts", "relation": "text", "predicate": "text", "score": "decimal",
    },
    "text_units": {
        "id": "text", "human_readable_id": "integer", "text": "text", "n_tokens": "integer",
        "document_id": "text", "document_ids": "texts", "entity_ids": "texts",
        "relationship_ids": "texts", "covariate_ids": "texts",
    },
    "documents": {
        "id": "text", "human_readable_id": "integer", "title": "text", "text": "text",
        "text_unit_ids": "texts",
    },
}  # fmt: skip

#: Rows of a row group.
GROUP: Final = 5_000
#: Quotes in the sentence of an edge.
QUOTES: Final = 3

_ID: Final = re.compile(r"e_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class GraphRAGReport:
    """What an export wrote."""

    triples: int
    #: Triples left out because their tail is a literal, for which GraphRAG has no place.
    literals_left_out: int


def is_graphrag(folder: Path) -> bool:
    """Say whether a folder looks like an output of GraphRAG."""
    return (folder / "relationships.parquet").is_file()


def write_graphrag(
    graph: GraphStore, folder: str | Path, *, progress: Progress = quiet
) -> GraphRAGReport:
    """Write the four tables into a folder.

    Raises:
        ExchangeError: if the graph is changed meanwhile.
        OSError: if a file cannot be written.
    """
    with exported_folder(graph, folder) as draft, _Joins(graph) as joins:
        joins.gather()
        for name, rows in (
            ("entities", joins.entities()),
            ("relationships", joins.relationships()),
            ("text_units", joins.text_units()),
            ("documents", joins.documents()),
        ):
            _write(draft / f"{name}.parquet", TABLES[name], counted(rows, progress))
        return GraphRAGReport(joins.triples, joins.left_out)


class _Joins(ExitStack):
    """Everything that a row needs of other tables, waiting on disk under the row's id."""

    def __init__(self, graph: GraphStore) -> None:
        super().__init__()
        self.graph = graph
        self.triples = self.left_out = 0
        self.titles, self.links, self.degrees, self.places, self.quotes = (
            self.enter_context(Scratch()) for _ in range(5)
        )
        self.named_in, self.stated_in = (self.enter_context(Scratch()) for _ in range(2))

    def gather(self) -> None:
        unique_titles(nodes_of(self.graph, literals=False), self.titles)
        for triple in self.graph.derived("triple"):
            if not triple.tail.startswith("l_"):
                self.links.add(triple.head, "")
                self.links.add(triple.tail, "")
        for entity, found in groupby(self.links, key=itemgetter(0)):
            self.degrees.add(entity, str(sum(1 for _ in found)))
        canonical = canonical_ids(self.graph)
        for mention in self.graph.written("mention"):
            if mention.chunk:
                entity = canonical.get(mention.entity, mention.entity)
                self.places.add(entity, mention.chunk)
                self.named_in.add(mention.chunk, entity)
        for evidence, stated in stated_triples(self.graph):
            if evidence.chunk and not evidence.negated:
                self.quotes.add(stated, json.dumps([evidence.chunk, evidence.quote]))

    def entities(self) -> Iterator[dict[str, Any]]:
        found = self.places.join(self.graph.derived("entity"), lambda entity: entity.id)
        for number, (entity, chunks) in enumerate(found):
            places = sorted(set(chunks))
            yield {
                "id": entity.id,
                "human_readable_id": number,
                "title": self.titles.get(entity.id),
                "type": entity.types[0] if entity.types else "",
                "description": entity.description,
                "text_unit_ids": places,
                "frequency": len(places),
                "degree": self._degree(entity.id),
                "name": entity.name,
                "types": list(entity.types),
                "iri": entity.iri,
            }

    def relationships(self) -> Iterator[dict[str, Any]]:
        found = self.quotes.join(self.graph.derived("triple"), lambda triple: triple.id)
        for triple, texts in found:
            if triple.tail.startswith("l_"):
                self.left_out += 1
                continue
            pairs = [json.loads(text) for text in texts]
            places = sorted({chunk for chunk, _ in pairs})
            for chunk in places:
                self.stated_in.add(chunk, triple.id)
            source, target = self.titles.get(triple.head), self.titles.get(triple.tail)
            quotes = sorted({quote for _, quote in pairs})[:QUOTES]
            yield {
                "id": triple.id,
                "human_readable_id": self.triples,
                "source": source,
                "target": target,
                "description": " ".join([f"{source} {triple.predicate} {target}.", *quotes]),
                "weight": float(triple.support),
                "combined_degree": self._degree(triple.head) + self._degree(triple.tail),
                "text_unit_ids": places,
                "relation": triple.relation,
                "predicate": triple.predicate,
                "score": triple.score,
            }
            self.triples += 1

    def text_units(self) -> Iterator[dict[str, Any]]:
        """Iterate over chunks; `relationships` must have been read."""
        texts = Scratch()
        with texts:
            for document in self.graph.written("document"):
                for chunk in self.graph.written("chunk", document=document.id):
                    texts.add(chunk.id, document.text[chunk.start : chunk.end])
            by_triple = self.stated_in.join(self.graph.written("chunk"), lambda chunk: chunk.id)
            by_entity = self.named_in.join(by_triple, lambda pair: pair[0].id)
            for number, ((chunk, triples), entities) in enumerate(by_entity):
                text = texts.get(chunk.id) or ""
                yield {
                    "id": chunk.id,
                    "human_readable_id": number,
                    "text": text,
                    "n_tokens": len(text.split()),
                    "document_id": chunk.document,
                    "document_ids": [chunk.document],
                    "entity_ids": sorted(set(entities)),
                    "relationship_ids": sorted(set(triples)),
                    "covariate_ids": [],
                }

    def documents(self) -> Iterator[dict[str, Any]]:
        for number, document in enumerate(self.graph.written("document")):
            chunks = self.graph.written("chunk", document=document.id)
            yield {
                "id": document.id,
                "human_readable_id": number,
                "title": document.title or document.uri,
                "text": document.text,
                "text_unit_ids": [chunk.id for chunk in chunks],
            }

    def _degree(self, entity: str) -> int:
        return int(self.degrees.get(entity) or 0)


def _write(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> None:
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    text = pyarrow.string()
    types = {
        "text": text,
        "texts": pyarrow.list_(text),
        "integer": pyarrow.int64(),
        "decimal": pyarrow.float64(),
    }
    schema = pyarrow.schema([(name, types[type]) for name, type in columns.items()])
    with ParquetWriter(path, schema, compression="zstd") as file:
        for group in batched(rows, GROUP):
            file.write_table(pyarrow.Table.from_pylist(list(group), schema=schema))


def read_graphrag(
    graph: GraphStore, folder: str | Path, *, progress: Progress = quiet
) -> FactReport:
    """Import an output folder of GraphRAG; `text_units` and `documents` may be missing.

    Raises:
        ExchangeError: if `entities` or `relationships` is missing or is no such table; nothing is
            written.
    """
    folder = Path(folder)
    files = [folder / f"{name}.parquet" for name in TABLES]
    sha256 = file_hash(*(file for file in files[:2]), *(f for f in files[2:] if f.exists()))
    with _Tables(folder) as tables:
        tables.gather()
        return write_facts(graph, tables, file=folder.name, sha256=sha256, progress=progress)


class _Tables(ExitStack):
    """The tables of a folder, read anew for each iteration; what edges refer to is on disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.by_title, self.units = (self.enter_context(Scratch()) for _ in range(2))

    def gather(self) -> None:
        for row in self._rows("entities", "title"):
            self.by_title.add(str(row["title"]), json.dumps(_fields(_entity(row))))
        with Scratch() as titles:
            for row in self._rows("documents", "id", "title"):
                titles.add(str(row["id"]), str(row["title"]))
            for row in self._rows("text_units", "id", "text"):
                owners = row.get("document_ids")
                owner = row.get("document_id") or (owners[0] if owners else "")
                title = titles.get(str(owner)) or str(owner) or "text_units"
                number = row.get("human_readable_id", row["id"])
                text = str(row["text"] or "")
                self.units.add(str(row["id"]), json.dumps([f"{title}#{number}", title, text]))

    def __iter__(self) -> Iterator[Fact | Entity]:
        yield from (_entity(row) for row in self._rows("entities", "title"))
        for number, part in enumerate(
            batched(self._rows("relationships", "source", "target"), GROUP)
        ):
            sentences = self._sentences(number, part)
            for row, sentence in zip(part, sentences, strict=True):
                yield from self._facts(row, sentence)

    def _facts(self, row: Mapping[str, Any], sentence: Passage | None) -> Iterator[Fact]:
        head, tail = self._end(str(row["source"])), self._end(str(row["target"]))
        relation = str(row.get("relation") or "RELATED_TO")
        phrase = phrase_of(relation, row.get("predicate"))
        score = row.get("score")
        score = 1.0 if score is None else float(score)
        passages = [*self._units(row)]
        for passage in passages:
            yield Fact(head, phrase, tail, score, passage)
        if sentence is not None or not passages:
            yield Fact(head, phrase, tail, score, sentence, hedged=bool(passages))

    def _units(self, row: Mapping[str, Any]) -> Iterator[Passage]:
        for id in row.get("text_unit_ids") or ():
            uri, title, text = json.loads(self.units.get(str(id)) or '["", "", ""]')
            if text:
                yield Passage(Document(uri=uri, title=title, text=text), (0, len(text)))

    def _sentences(self, number: int, rows: Iterable[Mapping[str, Any]]) -> list[Passage | None]:
        """Return the descriptions of edges as parts of one document."""
        texts = [str(row.get("description") or "") for row in rows]
        uri = f"{self.folder.name}/relationships.parquet#{number}"
        document = Document(uri=uri, title="relationships", text="\n".join(texts))
        found: list[Passage | None] = []
        start = 0
        for text in texts:
            end = start + len(text)
            found.append(Passage(document, (start, end)) if text else None)
            start = end + 1
        return found

    def _end(self, title: str) -> Entity:
        text = self.by_title.get(title)
        return _entity(json.loads(text)) if text else _entity({"title": title})

    def _rows(self, table: str, *required: str) -> Iterator[Mapping[str, Any]]:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        path = self.folder / f"{table}.parquet"
        if not path.exists():  # `file_hash` refuses the two that must be there
            return
        try:
            with ParquetFile(path) as file:
                missing = set(required) - set(file.schema_arrow.names)
                if missing:
                    raise ExchangeError(
                        f"{path} lacks the column {', '.join(sorted(missing))}: "
                        "give the output folder of GraphRAG"
                    )
                columns = [name for name in file.schema_arrow.names if name in TABLES[table]]
                for batch in file.iter_batches(batch_size=GROUP, columns=columns):
                    yield from batch.to_pylist()
        except (ArrowException, OSError) as error:
            raise ExchangeError(f"{path} is not a Parquet file ({error}): check it") from None


def _fields(entity: Entity) -> dict[str, Any]:
    return {
        "id": entity.id,
        "name": entity.name,
        "types": list(entity.types),
        "description": entity.description,
        "iri": entity.iri,
    }


def _entity(row: Mapping[str, Any]) -> Entity:
    name = str(row.get("name") or row.get("title"))
    type = str(row.get("type") or "")
    types = tuple(row.get("types") or ((type,) if type else ()))
    known = str(row.get("id") or "")
    return Entity(
        id=known if _ID.fullmatch(known) else entity_id(name, types[-1] if types else ""),
        name=name,
        types=types,
        description=str(row.get("description") or ""),
        iri=str(row.get("iri") or ""),
    )
