"""Demonstrations from a graph: for a sentence, the most alike ones whose statements are known.

```python
pool = GraphPool(graph)
hits = pool.retrieve("Lise Meitner was born in Vienna.", relation="born in", k=4)
hits[0].provenance["triples"], hits[0].provenance["source"], hits[0].provenance["start"]
```

The pool follows the graph: before every answer it looks at the graph's change counter, and if that
has moved, reads the sources again and encodes only the sentences that are new or state something
else. The vectors of a named encoder are kept in the graph's home folder, so that the next process
does not encode either.

**The trap.** Graphs hold the very sentence that is asked about, often as a clause of it or within a
longer quote. So no demonstration is given whose letters and digits lie in those of the query, or
the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kg.ids import relation_type
from retrieval.demonstrations import persistence
from retrieval.demonstrations.datasets import text_key
from retrieval.demonstrations.lexical import WEIGHTINGS
from retrieval.demonstrations.retriever import DemonstrationRetriever
from retrieval.demonstrations.source_sentences import SourceSentence, source_sentences
from retrieval.demonstrations.task import Demo, Task
from retrieval.errors import ModelFileError, QueryShapeError, UnknownRelation

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore
    from retrieval.demonstrations.spaces import Encoder

__all__ = ["GraphPool", "demos", "encoder_name"]

TASK: Final = Task("graph", "Statements of the sentence:")
#: Below the home folder of a graph; one folder for each encoder.
FOLDER: Final = "demonstrations"
#: By how much more are looked at when too few of the nearest state a relation.
WIDER: Final = 8


class GraphPool:
    """The sentences of a graph as a pool of demonstrations.

    Args:
        graph: any store; it must stay open while `refresh` or `retrieve` is called.
        encoder: as in `DemonstrationRetriever`.
        without: ids of configs whose evidence gives no demonstrations.
        keep: what a sentence shall show of its statements; None leaves the sentence out.
        follow: look for changes of the graph at every call; otherwise only `refresh` does.

    >>> import kg
    >>> pool = GraphPool(kg.open_graph("memory://"))
    >>> pool.retrieve("Lise Meitner was born in Vienna."), len(pool)
    ([], 0)
    """

    def __init__(
        self,
        graph: GraphStore,
        encoder: Encoder = "bm25",
        *,
        without: Collection[str] = (),
        keep: Callable[[SourceSentence], SourceSentence | None] | None = None,
        follow: bool = True,
    ) -> None:
        self.graph = graph
        self.follow = follow
        self._without = tuple(without)
        self._keep = keep
        self._sentences: dict[str, SourceSentence] = {}
        self._keys: dict[str, str] = {}
        #: Relation type → its name, and the sentences that state it.
        self._relations: dict[str, tuple[str, list[str]]] = {}
        self._seen: int | None = None
        #: Where vectors are kept; words are counted anew faster than they are read.
        self._kept: Path | None = None
        whole = not without and keep is None
        dense = isinstance(encoder, (str, Path)) and encoder not in WEIGHTINGS
        if graph.home is not None and whole and dense:
            self._kept = graph.home / FOLDER / encoder_name(encoder)
        self.retriever = self._stored() or DemonstrationRetriever(encoder)
        self.refresh()

    def __len__(self) -> int:
        return len(self._sentences)

    @property
    def sentences(self) -> tuple[SourceSentence, ...]:
        """The sentences that may be demonstrations, in the order of their ids."""
        return tuple(self._sentences.values())

    def sentence(self, id: str) -> SourceSentence:
        """Return the sentence of a demonstration."""
        return self._sentences[id]

    @property
    def fingerprint(self) -> str:
        """Hash of all demonstrations: equal pools answer equally."""
        digest = blake2b(digest_size=8)
        for sentence in self._sentences.values():
            demo = sentence.demo()
            digest.update(f"{demo.id}\0{demo.input}\0{demo.output}\0".encode())
        return digest.hexdigest()

    def refresh(self) -> int:
        """Take up what changed in the graph; return how many sentences were encoded."""
        counter = self.graph.change_counter
        if counter == self._seen:
            return 0
        self._sentences, self._keys, self._relations = {}, {}, {}
        taken: set[str] = set()
        for found in source_sentences(self.graph, without=self._without):
            sentence = found if self._keep is None else self._keep(found)
            if sentence is None:
                continue
            key = text_key(sentence.text)
            # What many documents say in the same words is one demonstration.
            if key and key not in taken:
                taken.add(key)
                self._sentences[sentence.id] = sentence
                self._keys[sentence.id] = key
                for type, name in sorted(
                    {(s.relation_type, s.relation) for s in sentence.statements}
                ):
                    self._relations.setdefault(type, (name, []))[1].append(sentence.id)
        held: dict[str, Demo] = {}
        if TASK.name in self.retriever.tasks:
            held = {demo.id: demo for demo in self.retriever.pool(TASK)}
        demos = [replace(one.demo(), task=TASK.name) for one in self._sentences.values()]
        new = [demo for demo in demos if held.get(demo.id) != demo]
        gone = [id for id in held if id not in self._sentences]
        if gone:
            self.retriever.remove(gone, task=TASK)
        self.retriever.add(new, task=TASK)
        if self._kept is not None and (new or gone):
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            persistence.save(self.retriever, self._kept)
        self._seen = counter
        return len(new)

    def retrieve(
        self,
        sentence: str,
        *,
        k: int = 8,
        relation: str | None = None,
    ) -> list[Demo]:
        """Return the `k` demonstrations most like a sentence, or a passage, best first.

        Args:
            sentence: what shall be read; never its own demonstration, nor part of one.
            k: how many, fewer if there are not so many.
            relation: only sentences that state this relation, and of those only these statements;
                a name, a phrase or a relation type of the graph.

        Raises:
            QueryShapeError: an empty sentence, or `k` below 1.
            UnknownRelation: no demonstration states the relation; names near matches.
        """
        asked = text_key(sentence)
        if not asked:
            raise QueryShapeError(f"the sentence {sentence!r} holds no word; give one")
        if self.follow:
            self.refresh()
        wanted = None if relation is None else self._relation(relation)
        among = self._sentences if wanted is None else set(self._relations[wanted][1])
        barred = {id for id, key in self._keys.items() if key in asked or asked in key}
        wide = k
        while True:
            hits = self.retriever.retrieve(sentence, task=TASK, k=wide, exclude_ids=barred)
            kept = [hit for hit in hits if hit.id in among]
            if len(kept) >= k or len(hits) < wide:
                break
            wide *= WIDER  # few of the nearest state the relation
        return [
            _hit(self._sentences[hit.id], wanted, score=hit.score, rank=rank)
            for rank, hit in enumerate(kept[:k], start=1)
        ]

    def stating(self, relation: str, *, k: int = 8) -> list[Demo]:
        """Return the `k` sentences that state a relation best, without any query.

        Their score is that of the triple; the best supported ones come first.

        Raises:
            QueryShapeError: `k` below 1.
            UnknownRelation: no demonstration states the relation; names near matches.
        """
        if k < 1:
            raise QueryShapeError(f"k is {k}; ask for 1 demonstration or more")
        if self.follow:
            self.refresh()
        wanted = self._relation(relation)
        scored = []
        for id in self._relations[wanted][1]:
            stated = self._sentences[id].only(wanted).statements
            scored.append((-max(statement.score for statement in stated), id))
        return [
            _hit(self._sentences[id], wanted, score=-negative, rank=rank)
            for rank, (negative, id) in enumerate(sorted(scored)[:k], start=1)
        ]

    def _relation(self, asked: str) -> str:
        """Return the relation type that a name or phrase means."""
        name = relation_type(asked)
        for row in self.graph.written("relation_name"):
            if relation_type(row.phrase) == name:
                name = relation_type(row.relation)
                break
        if name not in self._relations:
            known = sorted(own for own, _ in self._relations.values())
            hint = f"sentences of the graph state: {', '.join(known[:12])}"
            raise UnknownRelation(asked, known, hint=hint)
        return name

    def _stored(self) -> DemonstrationRetriever | None:
        if self._kept is None or not self._kept.exists():
            return None
        try:
            return persistence.load(self._kept)
        except ModelFileError as error:
            raise ModelFileError(
                f"the demonstrations kept with the graph cannot be used ({error}); delete "
                f"{self._kept}, and they are encoded anew"
            ) from error


def demos(
    graph: GraphStore,
    sentence: str | None = None,
    *,
    relation: str | None = None,
    k: int = 8,
    encoder: Encoder = "bm25",
) -> list[Demo]:
    """Return solved examples from a graph's sources: like a sentence, of a relation, or both.

    For more than one question make a `GraphPool`, which reads the graph once.

    Raises:
        QueryShapeError: neither a sentence nor a relation, or `k` below 1.
        UnknownRelation: no demonstration states the relation; names near matches.

    >>> import kg
    >>> demos(kg.open_graph("memory://"), "Lise Meitner was born in Vienna.", k=4)
    []
    """
    pool = GraphPool(graph, encoder)
    if sentence is not None:
        return pool.retrieve(sentence, k=k, relation=relation)
    if relation is None:
        raise QueryShapeError("give a sentence, a relation, or both")
    return pool.stating(relation, k=k)


def _hit(sentence: SourceSentence, relation: str | None, *, score: float, rank: int) -> Demo:
    shown = sentence if relation is None else sentence.only(relation)
    return replace(shown.demo(), task=TASK.name, score=score, rank=rank)


def encoder_name(encoder: object) -> str:
    """Return a name for an encoder: its own, or that of its folder with a hash of the files."""
    if not isinstance(encoder, (str, Path)):
        return f"{type(encoder).__module__}.{type(encoder).__qualname__}"
    folder = Path(encoder)
    if not folder.is_dir():
        return str(encoder)
    digest = blake2b(digest_size=8)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(file.relative_to(folder)).encode())
        digest.update(file.read_bytes())
    return f"{folder.name}-{digest.hexdigest()}"
