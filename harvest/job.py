"""A harvest: documents through a harvester into a graph, resumable at any moment.

The unit of work is a task, (chunk, config). It is leased before it is read, and it is recorded as
finished in the transaction that writes what was found in it. So whatever is killed, the next
harvest goes on after the last written chunk; several harvests over one folder share the work; and
a chunk that is written is never read twice.

```
document ─► chunks ─► claim ─┬─ granted ─► extract ─► write (found + finished, one transaction)
                             ├─ done ────► adopt: this run would have found it too
                             └─ busy ────► come back later, until done or its owner is dead
```

A chunk is read with the mentions of the earlier chunks of its document ("Curie" there may be
"Marie Curie" here), so chunks are read in order, and what a chunk gives depends only on the
document and the config: not on the batch, the process or the moment.

A harvester that waits for somebody else, such as a model behind a network, reads chunks by
themselves and many at once (`AheadHarvester`): documents are leased and begun ahead of their turn,
and a chunk that fails is one failed row beside the others of its document.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Final, Protocol, runtime_checkable

from harvest.documents import Failure, Reading
from harvest.errors import HarvestError, HarvestStop
from harvest.report import Dropped, Progress, Report, Tally
from kg.errors import KgError, RecordError
from kg.records import Batch, Chunk, Config, Document, Mention, Task
from kg.store.lease import new_owner
from kg.store.protocol import GraphStore

__all__ = ["AheadHarvester", "Harvester", "harvest", "harvest_documents"]

#: Seconds that a lease lives without being renewed, which every write does. It only matters for
#: an owner on another machine: a dead one on this machine is known at once.
LEASE: Final = 120.0
#: Seconds after which the leases of a harvester that waits are renewed.
RENEW: Final = LEASE / 4
#: A long document is written after so many chunks or seconds, whichever comes first. More would be
#: lost by a kill, less is slower.
WRITE_CHUNKS: Final = 64
WRITE_SECONDS: Final = 5.0
#: Seconds between two looks at documents that others are working on.
POLL: Final = 0.5


class Harvester(Protocol):
    """Anything that finds statements in the chunks of a document.

    `extract` depends on its arguments and the config alone. It raises `HarvestError` when it
    cannot read a chunk; the document is then one failed row and the harvest goes on.
    """

    @property
    def config(self) -> Config:
        """The harvester with everything that can change its output."""
        ...

    @property
    def report(self) -> Mapping[str, int]:
        """What it counted since it was made, as it shall be shown; "sentences" gives the speed."""
        ...

    def chunks(self, document: Document) -> Sequence[Chunk]:
        """Return the chunks of a document, which do not overlap."""
        ...

    def extract(self, document: Document, chunk: Chunk, *, known: Sequence[Mention] = ()) -> Batch:
        """Return the mentions, evidence and relation names found in one chunk.

        Args:
            document: the whole document.
            chunk: the part to read.
            known: what was found in the document's earlier chunks, in order; not to be changed.
        """
        ...


@runtime_checkable
class AheadHarvester(Harvester, Protocol):
    """A harvester that reads every chunk by itself and has many under way at once.

    `extract` may raise `HarvestStop` as well: the harvest ends then, and goes on another time.
    """

    @property
    def ahead(self) -> int:
        """How many chunks should be under way."""
        ...

    @property
    def dropped(self) -> Sequence[Dropped]:
        """What was said and left out since it was made."""
        ...

    def start(self, document: Document, chunk: Chunk) -> None:
        """Begin to read a chunk that will be extracted soon. Starting twice is allowed."""
        ...

    def ready(self, chunk: Chunk, *, seconds: float) -> bool:
        """Wait for a started chunk, at most some seconds; say whether `extract` would not wait."""
        ...


def harvest(
    graph: GraphStore,
    paths: Sequence[str | PathLike[str]],
    *,
    harvester: Harvester,
    root: str | PathLike[str] | None = None,
    keep_old: bool = False,
    limit: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    owner: str | None = None,
) -> Report:
    """Harvest files and folders into a graph and return what was done.

    Calling it again goes on where it stopped, and when all is done writes nothing but a new run.

    Args:
        graph: the store, as `kg.open_graph` gives it.
        paths: files and folders, see `harvest.documents.read_documents`.
        harvester: what reads the documents.
        root: folder that uris are relative to.
        keep_old: keep the evidence of older texts of the same uri and of older versions of the
            same harvester; otherwise a document that is fully written takes their place.
        limit: read at most this many documents.
        progress: called after every document.
        owner: name under which tasks are leased; by default a new one of this process.

    Raises:
        InputError: if the paths make no sense as a whole. Single files never raise; they are
            rows of the report.
        StoreError: if the store fails; what was written stays.
        HarvestStop: if going on makes no sense (a budget, a refused key), after the chunks read so
            far are written; carries the report.
        KeyboardInterrupt: after the chunks read so far are written.
    """
    reading = Reading(paths, root=root)
    return harvest_documents(
        graph,
        reading,
        harvester=harvester,
        keep_old=keep_old,
        limit=limit,
        progress=progress,
        owner=owner,
    )


def harvest_documents(
    graph: GraphStore,
    documents: Iterable[Document | Failure],
    *,
    harvester: Harvester,
    keep_old: bool = False,
    limit: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    owner: str | None = None,
) -> Report:
    """Harvest documents that are at hand already; otherwise as `harvest`."""
    job = _Job(graph, harvester, keep_old=keep_old, owner=owner or new_owner())
    reading = documents if isinstance(documents, Reading) else None

    def show() -> None:
        if progress is not None:
            progress(
                job.tally.progress(
                    harvester.report,
                    waiting=len(job.deferred),
                    bytes_read=reading.bytes_read if reading else 0,
                    bytes_total=reading.bytes_total if reading else 0,
                )
            )

    try:
        for row in _limited(documents, limit):
            if isinstance(row, Failure):
                job.tally.failures.append(row)
            else:
                job.take(row)
            show()
        while job.begun:
            job.go_on()
            show()
        while job.deferred:
            if not job.revisit():
                time.sleep(POLL)
            show()
    except HarvestStop as stop:
        job.release()
        stop.report = job.finish()
        raise
    except KeyboardInterrupt:
        job.release()
        job.finish()
        raise
    return job.finish()


def _limited(rows: Iterable[Document | Failure], limit: int | None) -> Iterator[Document | Failure]:
    """Yield rows up to the `limit`-th document; failures do not count."""
    taken = 0
    for row in rows:
        yield row
        taken += isinstance(row, Document)
        if taken == limit:
            return


@dataclass(slots=True)
class _Work:
    """A document on its way through the harvester."""

    document: Document
    #: In order of their place in the document.
    chunks: Sequence[Chunk]
    #: Ids of chunks that are in the graph, whoever wrote them.
    written: set[str] = field(default_factory=set)
    #: Tasks among them that another run finished.
    earlier: list[Task] = field(default_factory=list)
    #: Chunks of those whose mentions have not been looked up: often nobody needs them.
    unread: list[Chunk] = field(default_factory=list)
    #: Mentions of the written chunks that have been looked up, in order.
    known: list[Mention] = field(default_factory=list)
    #: Ids of chunks that could not be read.
    failed: set[str] = field(default_factory=set)
    #: Number of chunks that were begun ahead of the document's turn.
    under_way: int = 0

    @property
    def open(self) -> list[Chunk]:
        """The chunks that are neither written nor failed."""
        return [c for c in self.chunks if c.id not in self.written and c.id not in self.failed]


class _Job:
    """One run over many documents."""

    def __init__(
        self, graph: GraphStore, harvester: Harvester, *, keep_old: bool, owner: str
    ) -> None:
        self.graph = graph
        self.harvester = harvester
        self.keep_old = keep_old
        self.owner = owner
        self.config = harvester.config
        self.run = graph.begin_run(self.config).id
        self.tally = Tally(self.config, harvester.report)
        self.ahead = harvester if isinstance(harvester, AheadHarvester) else None
        #: Documents begun ahead of their turn, and those that others are working on.
        self.begun: deque[_Work] = deque()
        self.deferred: deque[_Work] = deque()
        #: Tasks that are leased to us, by chunk, and when they were leased last.
        self.leased: dict[str, Task] = {}
        self.renewed = time.monotonic()

    def take(self, document: Document) -> None:
        """Harvest a document as far as nobody else is working on it."""
        try:
            chunks = sorted(self.harvester.chunks(document), key=lambda chunk: chunk.start)
        except HarvestError as error:
            self.tally.fail(document, error, document.text)
            return
        work = _Work(document, chunks)
        if not chunks:  # nothing to read in it, but it still takes the place of an older text
            self.graph.write(Batch(documents=(document,)), run=self.run)
        self.begun.append(work)
        if self.ahead is not None:
            for chunk in self._open_chunks(work):
                self.ahead.start(document, chunk)
                work.under_way += 1
        most = 0 if self.ahead is None else self.ahead.ahead
        while sum(work.under_way for work in self.begun) > most or len(self.begun) > most:
            self.go_on()
        # Looking at one of the others now and then keeps few whole documents waiting in memory.
        self.revisit(1)

    def go_on(self) -> None:
        """Harvest the document that was begun first as far as nobody else is working on it."""
        work = self.begun.popleft()
        if not self._advance(work):
            self.deferred.append(work)

    def revisit(self, most: int | None = None) -> bool:
        """Look again at documents that were busy; say whether one of them is done with."""
        progress = False
        count = len(self.deferred)
        for _ in range(count if most is None else min(most, count)):
            work = self.deferred.popleft()
            if self._advance(work):
                progress = True
            else:
                self.deferred.append(work)
        return progress

    def release(self, chunks: Sequence[Chunk] | None = None) -> None:
        """Give back the leases of some chunks or of all, so that nobody waits for them to end."""
        ids = [*self.leased] if chunks is None else [chunk.id for chunk in chunks]
        tasks = [self.leased.pop(id) for id in ids if id in self.leased]
        if tasks:
            self.graph.claim(tasks, owner=self.owner, ttl=0.0)

    def finish(self) -> Report:
        """Write the end of the run and return its report."""
        dropped = () if self.ahead is None else tuple(self.ahead.dropped)
        report = self.tally.report(self.run, self.harvester.report, dropped)
        self.graph.finish_run(self.run, report.counts())
        return report

    def _advance(self, work: _Work) -> bool:
        """Read the open chunks in order until one is busy; say whether the document is done with.

        Whoever holds the first open chunk of a document can go on with it, so no two harvests
        wait for each other.
        """
        while work.open:
            free = self._open_chunks(work)
            if free:
                self._read(work, free)
                if work.failed and self.ahead is None:
                    break  # later chunks would miss what this one knows
            elif work.open:
                return False
        self.release(work.chunks)
        if work.earlier:
            self.graph.adopt(work.earlier, run=self.run)
        if work.failed:
            return True
        removed = 0
        if not self.keep_old:
            removed = self.graph.supersede(work.document.id, self.config.id).documents
        self.tally.finish(replaced=removed, unchanged=len(work.earlier) == len(work.chunks) > 0)
        return True

    def _open_chunks(self, work: _Work) -> list[Chunk]:
        """Lease what is open; return the chunks to read next, all before the first busy one."""
        chunks = work.open
        tasks = [Task(chunk.id, self.config.id) for chunk in chunks]
        claim = self.graph.claim(tasks, owner=self.owner, ttl=LEASE)
        self.leased.update((task.chunk, task) for task in claim.granted)
        done = {task.chunk for task in claim.done}
        granted = {task.chunk for task in claim.granted}
        free: list[Chunk] = []
        for chunk, task in zip(chunks, tasks, strict=True):
            if chunk.id in granted:
                free.append(chunk)
            elif chunk.id in done and not free:
                work.written.add(chunk.id)
                work.unread.append(chunk)
                work.earlier.append(task)
            else:
                break
        return free

    def _read(self, work: _Work, chunks: Sequence[Chunk]) -> None:
        """Read some chunks and write them; those that cannot be read are rows of the report."""
        started = time.monotonic()
        for chunk in work.unread:
            work.known += self._stored_mentions(chunk)
        work.unread.clear()
        found: list[tuple[Chunk, Batch]] = []
        try:
            for chunk in chunks:
                try:
                    batch = self._extract(work, chunk)
                except HarvestStop:
                    raise
                except (HarvestError, RecordError) as error:
                    self._fail(work, [chunk], error)
                    if self.ahead is None:
                        break
                    continue
                found.append((chunk, batch))
                work.known += batch.mentions
                if len(found) == WRITE_CHUNKS or time.monotonic() - started > WRITE_SECONDS:
                    break
        except (HarvestStop, KeyboardInterrupt):
            self._write(work, found)
            raise
        try:
            self._write(work, found)
        except RecordError as error:
            # The harvester broke the contract of records, and nothing of this part was written.
            self._fail(work, [chunk for chunk, _ in found], error)

    def _extract(self, work: _Work, chunk: Chunk) -> Batch:
        """Read a chunk; while it is waited for, the leases are kept alive."""
        if self.ahead is not None:
            self.ahead.start(work.document, chunk)
            while not self.ahead.ready(chunk, seconds=RENEW):
                self._renew()
            self._renew()
        return self.harvester.extract(work.document, chunk, known=work.known)

    def _renew(self) -> None:
        now = time.monotonic()
        if now - self.renewed > RENEW:
            self.graph.claim(list(self.leased.values()), owner=self.owner, ttl=LEASE)
            self.renewed = now

    def _fail(self, work: _Work, chunks: Sequence[Chunk], error: KgError) -> None:
        work.failed.update(chunk.id for chunk in chunks)
        text = work.document.text[chunks[0].start : chunks[-1].end]
        self.tally.fail(work.document, error, text)

    def _stored_mentions(self, chunk: Chunk) -> list[Mention]:
        mentions = self.graph.written("mention", chunk=chunk.id, config=self.config.id)
        return sorted(mentions, key=lambda mention: (mention.span or (0, 0), mention.id))

    def _write(self, work: _Work, found: Sequence[tuple[Chunk, Batch]]) -> None:
        """Write what was found and that it was found, in one transaction."""
        if not found:
            return
        chunks = tuple(chunk for chunk, _ in found)
        batches = [batch for _, batch in found]
        tasks = tuple(Task(chunk.id, self.config.id) for chunk in chunks)
        names = dict.fromkeys(name for batch in batches for name in batch.relation_names)
        self.graph.write(
            Batch(
                documents=(work.document,),
                chunks=chunks,
                mentions=tuple(mention for batch in batches for mention in batch.mentions),
                evidence=tuple(evidence for batch in batches for evidence in batch.evidence),
                tasks=tasks,
                relation_names=tuple(names),
            ),
            run=self.run,
        )
        for chunk, batch in found:
            work.written.add(chunk.id)
            self.leased.pop(chunk.id, None)
            self.tally.count(batch)
