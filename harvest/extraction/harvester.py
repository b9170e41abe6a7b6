"""The text harvester: documents in, mentions and evidence out, offline.

```
chunk ─► blocks, mended ─► spaCy ─► names joined ─► pairs by type ─► heads ─► asserted? ─► records
```

Everything that can change the output is in `TextHarvester.config`. Nothing is shared between
chunks but the names of a document, which come in through `known`, so a chunk gives the same records
in any run, order or company.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from harvest.errors import InputError
from harvest.extraction.coreference import DocumentNames, NamedEntity
from harvest.extraction.countries import country_of, is_country
from harvest.extraction.encoder import FrozenEncoder, folder_fingerprint
from harvest.extraction.entity_types import TypeMap
from harvest.extraction.heads import RelationHeads, weights_fingerprint
from harvest.extraction.mentions import NAMED, VALUES
from harvest.extraction.pipeline import check_english, load_pipeline
from harvest.extraction.reading import Placed, ReadSentence, read_chunk
from harvest.extraction.seeds import SeedNames
from harvest.extraction.statements import PlannedRelation, Scorer, Statement
from harvest.extraction.zero_shot import ZeroShotRelation
from kg.ids import entity_id
from kg.records import (
    LITERAL_TYPES,
    Batch,
    Chunk,
    Config,
    Document,
    Evidence,
    Literal,
    Mention,
)
from kg.schema import RelationDef, Schema

__all__ = ["TextHarvester", "shipped_schema"]

VERSION = "1"
#: Longer documents are cut at paragraph borders into parts of at most this many code points.
CHUNK = 20_000
#: A zero-shot score has no held-out sentences to set a threshold on; half is its own meaning.
ZERO_SHOT_THRESHOLD = 0.5
#: Kinds of tails that may be common nouns, not names.
_COMMON_NOUN_KINDS = frozenset({"idea", "find", "taxon"})


@cache
def shipped_schema() -> Schema:
    """Return the relations that are harvested when no schema is given."""
    text = files("harvest").joinpath("data/relations.yaml").read_text("utf-8")
    return Schema.parse(text, source="harvest/data/relations.yaml")


class TextHarvester:
    """Finds the relations of a schema in English text, with a small frozen encoder on the CPU.

    Args:
        schema: what to look for; the shipped relations when left out. A relation reaches a trained
            head by its name, an alias or its inverse, and is scored zero-shot otherwise.
        spacy_pipeline: name or folder of a pipeline to use instead of the default one.
        threshold: probability from which a statement is kept, the same for all relations; by
            default each has its own, fitted for precision.
        include_hedged: let hedged evidence ("is said to have …") support triples.
        device: PyTorch device of the encoder.

    Raises:
        InputError: a threshold outside (0, 1], or a schema without relations of two places.
        PipelineMissing, EncoderMissing, WeightsMissing: a part is not installed.

    >>> harvester = TextHarvester()
    >>> document = Document(uri="a", text="Marie Curie was born in Warsaw.")
    >>> [chunk] = harvester.chunks(document)
    >>> [evidence] = harvester.extract(document, chunk).evidence
    >>> evidence.relation, evidence.quote
    ('born_in', 'Marie Curie was born in Warsaw.')
    """

    def __init__(
        self,
        schema: Schema | None = None,
        *,
        spacy_pipeline: str = "",
        threshold: float | None = None,
        include_hedged: bool = False,
        device: str = "cpu",
    ) -> None:
        if threshold is not None and not 0.0 < threshold <= 1.0:
            raise InputError(
                f"threshold {threshold}: give a probability above 0 and up to 1, "
                "or leave it out to use each relation's own"
            )
        self.schema = schema or shipped_schema()
        self._nlp = load_pipeline(spacy_pipeline)
        self._encoder = FrozenEncoder(device=device)
        self._heads = RelationHeads.load()
        self._types = TypeMap(self.schema)
        self._seeds = SeedNames(self.schema)
        self._count: Counter[str] = Counter()
        plan = self._plan(threshold)
        if not plan:
            raise InputError(
                "the schema has no relation with a head and a tail: the text extractor reads "
                "relations of two places; relations with roles need another harvester"
            )
        #: Relations without a trained head, scored from their name and description.
        self.zero_shot = tuple(p.relation.name for p in plan if p.column < 0)
        self._concepts = any(
            self._types.kind(type_name) in _COMMON_NOUN_KINDS
            for p in plan
            for type_name in (p.relation.head, p.relation.tail)
        )
        self._scorer = Scorer(
            plan,
            heads=self._heads,
            encoder=self._encoder,
            types=self._types,
            seeds=self._seeds,
            count=self._count,
        )
        nlp = self._nlp.meta
        self.config = Config(
            harvester="text",
            version=VERSION,
            model=f"{self._encoder.folder.parent.name}+{nlp['lang']}_{nlp['name']}-{nlp['version']}",
            weights=f"{weights_fingerprint()}+{folder_fingerprint(self._encoder.folder)}",
            parameters={
                **self.schema.parameters(),
                "threshold": threshold,
                "include_hedged": include_hedged,
                "chunk": CHUNK,
            },
        )

    @property
    def report(self) -> Mapping[str, int]:
        """Return what was counted so far: sentences, mentions, pairs, triples and what was dropped.

        `triples:R` counts the statements of relation R, `zero_shot:R` says that R has no trained
        head, `dropped_W` counts statements left out for reason W.
        """
        flags = {f"zero_shot:{name}": 1 for name in self.zero_shot}
        return dict(sorted({**flags, **self._count}.items()))

    def chunks(self, document: Document) -> list[Chunk]:
        """Return the parts in which a document is read: one, or several cut at paragraph borders.

        Parts are at most 20,000 code points long where the text has any line break or blank to cut
        at; an empty document has none.
        """
        text = document.text
        result = []
        start = 0
        while start < len(text):
            end = _cut(text, start)
            if text[start:end].strip():
                result.append(Chunk(document.id, start, end))
            start = end
        return result

    def extract(self, document: Document, chunk: Chunk, *, known: Sequence[Mention] = ()) -> Batch:
        """Return the mentions and the evidence of one chunk.

        Args:
            document: the whole document.
            chunk: one of `chunks(document)`.
            known: the mentions of the document's earlier chunks.

        Raises:
            NotEnglish: the chunk is not English.
        """
        check_english(document.text[chunk.start : chunk.end], name=document.uri)
        names = DocumentNames(document.title)
        for mention in known:
            names.add_known(mention.name, mention.type, self._types.label_of(mention.type))
        sentences = read_chunk(
            document,
            chunk,
            nlp=self._nlp,
            names=names,
            concepts=self._concepts,
            seeds=self._seeds,
        )
        statements = self._scorer.statements(sentences)
        types = _settled_types(statements, sentences, self._types)
        statements = [s for s in statements if self._agrees(s, types)]
        records = _Records(self, document, chunk, types)
        for sentence in sentences:
            for placed in sentence.placed:
                if placed.candidate.label in NAMED and placed.candidate.label != "NORP":
                    records.mention(placed, types.of(placed))
        for statement in statements:
            records.evidence(statement)
        batch = records.batch(self.schema)
        self._count["sentences"] += len(sentences)
        self._count["mentions"] += len(batch.mentions)
        for evidence in batch.evidence:
            key = "negated" if evidence.negated else "hedged" if evidence.hedged else "triples"
            self._count[key] += 1
            self._count[f"triples:{evidence.relation}"] += key == "triples"
        return batch

    def _plan(self, threshold: float | None) -> list[PlannedRelation]:
        plan = []
        for relation in self.schema.relations.values():
            if relation.roles:
                self._count["dropped_relations_with_roles"] += 1
                continue
            column, swapped = self._column(relation)
            if column >= 0:
                own = self._heads.heads[column].threshold
                plan.append(PlannedRelation(relation, column, swapped, threshold or own, None))
                continue
            same_root = not (relation.head and relation.tail) or (
                not self.schema.is_literal(relation.tail)
                and self.schema.root(relation.head) == self.schema.root(relation.tail)
            )
            zero_shot = ZeroShotRelation.of(relation, self._nlp, reversible=same_root)
            limit = max(threshold or 0.0, ZERO_SHOT_THRESHOLD)
            plan.append(PlannedRelation(relation, -1, False, limit, zero_shot))
        return plan

    def _column(self, relation: RelationDef) -> tuple[int, bool]:
        """Return the trained column of a relation and whether it reads from tail to head."""
        direct = self._heads.find((relation.name,))
        if direct is None and relation.inverse:
            found = self._heads.find((relation.inverse,))
            direct = (found[0], not found[1]) if found is not None else None
        direct = direct or self._heads.find(relation.aliases)
        return direct if direct is not None else (-1, False)

    def _agrees(self, statement: Statement, types: _Types) -> bool:
        """Tell whether both ends have the type that the relation asks for, document-wide."""
        for placed, asked in (
            (statement.head, statement.relation.head),
            (statement.tail, statement.relation.tail),
        ):
            settled = types.of(placed)
            if (
                asked
                and settled
                and placed.entity is not None
                and not _is_demonym(placed, asked, self._types)
                and self.schema.root(asked) != self.schema.root(settled)
                and self._types.kind(asked) != self._types.kind(settled)
            ):
                self._count["dropped_type"] += 1
                return False
        return True


@dataclass(frozen=True)
class _Types:
    """The type of every entity of a chunk, settled over all its mentions and statements."""

    settled: Mapping[int, str]

    def of(self, placed: Placed) -> str:
        """Return the type of what a place stands for, "" when unknown."""
        return self.settled.get(id(placed.entity), "") if placed.entity is not None else ""


def _settled_types(
    statements: Sequence[Statement], sentences: Sequence[ReadSentence], types: TypeMap
) -> _Types:
    """Vote: every mention votes for its label's type, every statement for what its ends must be.

    The root type with most votes wins; among its types the one with most votes, deeper before
    higher: Warsaw, a place by label, becomes a City where a statement says so.
    """
    schema = types.schema
    votes: defaultdict[int, Counter[str]] = defaultdict(Counter)
    entities: dict[int, NamedEntity] = {}
    for sentence in sentences:
        for placed in sentence.placed:
            if placed.entity is not None and placed.candidate.label != "PRONOUN":
                entities[id(placed.entity)] = placed.entity
                label = "PERSON" if placed.entity.is_person else placed.candidate.label
                own = types.type_of(label, placed.surface)
                if label == "GPE" and is_country(placed.surface):
                    own = _country_type(types) or own
                if own:
                    # What a document is about is what its relations say; a label says less there.
                    votes[id(placed.entity)][own] += 3 if placed.candidate.prominent else 10
                for name in placed.candidate.seeded:
                    votes[id(placed.entity)][name] += 10 if name else 0
    for statement in statements:
        for placed, asked in (
            (statement.head, statement.relation.head),
            (statement.tail, statement.relation.tail),
        ):
            if placed.entity is not None and asked and not _is_demonym(placed, asked, types):
                entities[id(placed.entity)] = placed.entity
                votes[id(placed.entity)][asked] += round(12 * statement.score)
    settled: dict[int, str] = {}
    for key, entity in entities.items():
        if entity.known_type:
            settled[key] = entity.known_type
            continue
        roots: Counter[str] = Counter()
        for name, count in votes[key].items():
            roots[schema.root(name)] += count
        if not roots:
            continue
        root = min(roots, key=lambda name: (-roots[name], name))
        settled[key] = min(
            (name for name in votes[key] if schema.root(name) == root),
            key=lambda name: (-len(schema.ancestors(name)), -votes[key][name], name),
        )
    return _Types(settled)


def _country_type(types: TypeMap) -> str:
    return next((name for name in types.schema.types if types.kind(name) == "country"), "")


def _is_demonym(placed: Placed, asked: str, types: TypeMap) -> bool:
    return placed.candidate.label == "NORP" and types.kind(asked) == "country"


class _Records:
    """Collects the records of a chunk, each once."""

    def __init__(
        self, harvester: TextHarvester, document: Document, chunk: Chunk, types: _Types
    ) -> None:
        self.schema = harvester.schema
        self.type_map = harvester._types
        self.config = harvester.config.id
        self.document = document
        self.chunk = chunk
        self.types = types
        self.mentions: dict[str, Mention] = {}
        self.statements: dict[str, Evidence] = {}

    def mention(self, placed: Placed, type_name: str, *, name: str = "") -> str:
        """Add a mention and return its raw entity id."""
        name = name or placed.name
        root = self.schema.root(type_name) if type_name else ""
        mention = Mention(
            entity=entity_id(name, root),
            surface=placed.surface,
            name=name,
            type=type_name,
            config=self.config,
            chunk=self.chunk.id,
            span=placed.span,
        )
        self.mentions.setdefault(mention.id, mention)
        return mention.entity

    def evidence(self, statement: Statement) -> None:
        """Add the evidence of a statement and the mentions of its ends."""
        start, end = statement.sentence.span
        relation = statement.relation
        record = Evidence(
            head=self._end(statement.head, relation.head),
            relation=relation.name,
            tail=self._tail(statement.tail, relation.tail),
            score=statement.score,
            config=self.config,
            chunk=self.chunk.id,
            span=(start, end),
            head_span=statement.head.span,
            tail_span=statement.tail.span,
            quote=self.document.text[start:end],
            negated=statement.negated,
            hedged=statement.hedged,
        )
        known = self.statements.get(record.id)
        if known is None or record.score > known.score:
            self.statements[record.id] = record

    def _tail(self, placed: Placed, asked: str) -> str | Literal:
        if self.schema.is_literal(asked) and placed.candidate.label in VALUES:
            return Literal(placed.candidate.value or placed.surface, LITERAL_TYPES[asked])
        return self._end(placed, asked)

    def _end(self, placed: Placed, asked: str) -> str:
        if asked and _is_demonym(placed, asked, self.type_map):
            return self.mention(placed, asked, name=country_of(placed.surface))
        settled = self.types.of(placed) or asked
        if placed.candidate.label == "PRONOUN":
            # The pronoun's entity has its mentions elsewhere in the document.
            root = self.schema.root(settled) if settled else ""
            return entity_id(placed.name, root)
        return self.mention(placed, settled)

    def batch(self, schema: Schema) -> Batch:
        """Return what was collected, in reading order."""
        mentions = sorted(self.mentions.values(), key=lambda m: (m.span or (0, 0), m.id))
        evidence = sorted(self.statements.values(), key=lambda e: (e.span or (0, 0), e.id))
        used = {item.relation for item in evidence}
        names = tuple(row for row in schema.relation_names() if row.relation in used)
        return Batch(mentions=tuple(mentions), evidence=tuple(evidence), relation_names=names)


def _cut(text: str, start: int) -> int:
    """Return the end of the part that begins at `start`: after a paragraph, a line or a word."""
    if len(text) - start <= CHUNK:
        return len(text)
    for border in ("\n\n", "\r\n\r\n", "\n", ". ", " "):
        at = text.rfind(border, start + CHUNK // 2, start + CHUNK)
        if at >= 0:
            return at + len(border)
    return start + CHUNK
