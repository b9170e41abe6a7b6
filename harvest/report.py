"""What a harvest did: live figures while it runs, and the report at its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from harvest.documents import Failure
from harvest.errors import AnswerError
from kg.errors import KgError
from kg.records import Batch, Config, Document

__all__ = ["Dropped", "Progress", "Report", "Tally"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a harvest has come."""

    documents: int
    failed: int
    sentences: int
    triples: int
    #: Documents that another harvest is working on, to be looked at again.
    waiting: int
    #: Bytes on disk read so far and in all; both 0 when the documents do not come from files.
    bytes_read: int
    bytes_total: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that was said of a document and left out, as a row of the report."""

    #: The document's uri.
    path: str
    #: One word; `dropped_REASON` counts it among the harvester's figures.
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """The account of one harvest. Figures are of this run; `sheaf stats` counts the graph.

    >>> report = Report(run="r", config="f", documents=2, sentences=30, seconds=1.5)
    >>> report.sentences_per_second, report.failed
    (20.0, 0)
    """

    run: str
    config: str
    #: Documents that are completely in the graph now.
    documents: int = 0
    #: Those among them that were there already, from an earlier or a parallel harvest.
    unchanged: int = 0
    #: Older documents of the same uri, removed because the new text took their place.
    replaced: int = 0
    chunks: int = 0
    sentences: int = 0
    mentions: int = 0
    evidence: int = 0
    #: Different triples that this run read (without negated and, unless asked for, hedged ones).
    triples: int = 0
    #: Relation phrase → different triples of it, commonest first.
    relations: Mapping[str, int] = field(default_factory=dict)
    #: What the harvester says of itself since it was made.
    harvester: Mapping[str, int] = field(default_factory=dict)
    #: One row for each input that failed or was skipped, in order.
    failures: tuple[Failure, ...] = ()
    #: What a harvester was told and left out; the text extractor counts such things only.
    dropped: tuple[Dropped, ...] = ()
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        """Inputs that should have given a document and did not."""
        return sum(not failure.skipped for failure in self.failures)

    @property
    def skipped(self) -> int:
        """Files of a folder whose format nothing here reads."""
        return sum(failure.skipped for failure in self.failures)

    @property
    def sentences_per_second(self) -> float:
        """Sentences read for each second of the whole run."""
        return self.sentences / self.seconds if self.seconds > 0 else 0.0

    @property
    def documents_per_second(self) -> float:
        """Documents finished for each second of the whole run."""
        return self.documents / self.seconds if self.seconds > 0 else 0.0

    def counts(self) -> dict[str, int]:
        """Return the figures that are written with the run."""
        return {
            "documents": self.documents,
            "unchanged": self.unchanged,
            "replaced": self.replaced,
            "failed": self.failed,
            "skipped": self.skipped,
            "chunks": self.chunks,
            "sentences": self.sentences,
            "mentions": self.mentions,
            "evidence": self.evidence,
            "triples": self.triples,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        return {
            "run": self.run,
            "config": self.config,
            "documents": {
                "ok": self.documents,
                "unchanged": self.unchanged,
                "replaced": self.replaced,
                "failed": self.failed,
                "skipped": self.skipped,
            },
            "chunks": self.chunks,
            "sentences": self.sentences,
            "mentions": self.mentions,
            "evidence": self.evidence,
            "triples": self.triples,
            "relations": dict(self.relations),
            "harvester": dict(self.harvester),
            "failures": [
                {
                    "path": failure.path,
                    "reason": failure.reason,
                    "hint": failure.hint,
                    "skipped": failure.skipped,
                    "text": failure.text,
                    "answer": failure.answer,
                }
                for failure in self.failures
            ],
            "dropped": [
                {"path": row.path, "reason": row.reason, "text": row.text} for row in self.dropped
            ],
            "seconds": round(self.seconds, 3),
            "sentences_per_second": round(self.sentences_per_second, 1),
            "documents_per_second": round(self.documents_per_second, 2),
        }


class Tally:
    """Counts what a harvest does while it runs."""

    def __init__(self, config: Config, harvester: Mapping[str, int]) -> None:
        """Start counting; `harvester` is what the harvester had counted before."""
        self.failures: list[Failure] = []
        self._config = config
        self._sentences_before = harvester.get("sentences", 0)
        self._started = time.monotonic()
        self._documents = self._unchanged = self._replaced = 0
        self._chunks = self._mentions = self._evidence = 0
        self._relations: Counter[str] = Counter()
        #: Digests of the triples seen: 16 bytes each, however long their names are.
        self._seen: set[bytes] = set()

    def count(self, batch: Batch) -> None:
        """Count what was found in one chunk."""
        self._chunks += 1
        self._mentions += len(batch.mentions)
        self._evidence += len(batch.evidence)
        hedged_counts = bool(self._config.parameters.get("include_hedged"))
        for evidence in batch.evidence:
            if evidence.negated or (evidence.hedged and not hedged_counts):
                continue
            key = "\0".join((evidence.head, evidence.relation, evidence.tail_id))
            digest = blake2b(key.encode(), digest_size=16).digest()
            if digest not in self._seen:
                self._seen.add(digest)
                self._relations[evidence.relation] += 1

    def finish(self, *, replaced: int, unchanged: bool) -> None:
        """Count a document that is completely in the graph."""
        self._documents += 1
        self._replaced += replaced
        self._unchanged += unchanged

    def fail(self, document: Document, error: KgError, text: str) -> None:
        """Keep what a harvester could not read: the document, the text and what was said of it."""
        answer = error.answer if isinstance(error, AnswerError) else ""
        stored = isinstance(error, AnswerError) and not error.retryable
        self.failures.append(
            Failure(
                document.uri,
                " ".join(str(error).split()),
                "the rest went on; this answer is stored, so try another model or --chunk-tokens"
                if stored
                else "the rest went on; harvest again to try this again",
                text=text,
                answer=answer,
            )
        )

    def progress(
        self, harvester: Mapping[str, int], *, waiting: int, bytes_read: int, bytes_total: int
    ) -> Progress:
        """Return how far the harvest has come."""
        return Progress(
            documents=self._documents,
            failed=sum(not failure.skipped for failure in self.failures),
            sentences=self._sentences(harvester),
            triples=self._relations.total(),
            waiting=waiting,
            bytes_read=bytes_read,
            bytes_total=bytes_total,
            seconds=time.monotonic() - self._started,
        )

    def report(
        self, run: str, harvester: Mapping[str, int], dropped: Sequence[Dropped] = ()
    ) -> Report:
        """Return the account so far; `harvester` is what the harvester has counted by now."""
        return Report(
            run=run,
            config=self._config.id,
            documents=self._documents,
            unchanged=self._unchanged,
            replaced=self._replaced,
            chunks=self._chunks,
            sentences=self._sentences(harvester),
            mentions=self._mentions,
            evidence=self._evidence,
            triples=self._relations.total(),
            relations=dict(sorted(self._relations.items(), key=lambda item: (-item[1], item[0]))),
            harvester=dict(harvester),
            failures=tuple(self.failures),
            dropped=tuple(dropped),
            seconds=time.monotonic() - self._started,
        )

    def _sentences(self, harvester: Mapping[str, int]) -> int:
        return harvester.get("sentences", 0) - self._sentences_before
