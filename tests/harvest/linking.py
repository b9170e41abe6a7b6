"""A harvester without a model: it reads sentences such as "Marie Curie links Paris."

It is small, but it does what a real one does: chunks, spans, negated and hedged statements, dates
as literals, names joined with those of earlier chunks.

| sentence | evidence |
|---|---|
| `Marie Curie links Paris.` | (Marie Curie, links, Paris) |
| `Curie links Paris.` | the same, when an earlier sentence names one "… Curie" |
| `Marie Curie never links Rome.` | negated |
| `Marie Curie perhaps links Rome.` | hedged |
| `Marie Curie began on 1903-12-10.` | (Marie Curie, began on, date) |
| `Marie Curie fails.` | `ExtractionError`, while `failing` is set |
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from harvest.errors import ExtractionError
from kg.ids import entity_id
from kg.records import Batch, Chunk, Config, Document, Evidence, Literal, Mention, Span

_NAME = r"[^\W\d_]\S*(?: [^\d_a-z\s]\S*)*?"
SENTENCE = re.compile(
    rf"(?P<head>{_NAME}) (?:(?P<how>never|perhaps) )?"
    rf"(?:(?P<relation>links|joins) (?P<tail>{_NAME})|began on (?P<date>\d{{4}}-\d\d-\d\d)|"
    r"(?P<fails>fails))\."
)
PARAGRAPH = re.compile(r"[^\r\n]+(?:\r?\n[^\r\n]+)*")


class LinkingHarvester:
    """Reads linking sentences, one paragraph as one chunk.

    Args:
        version: part of the config; a newer version takes the place of an older one.
        delay: seconds to wait in each chunk.
        failing: whether sentences with "fails" raise.
    """

    def __init__(
        self,
        *,
        version: str = "1",
        delay: float = 0.0,
        failing: bool = True,
        include_hedged: bool = False,
    ) -> None:
        self.config = Config(
            harvester="linking",
            version=version,
            parameters={
                "types": {"Person": "", "Place": ""},
                "include_hedged": include_hedged,
            },
        )
        self.report = {"sentences": 0}
        self.delay = delay
        self.failing = failing

    def chunks(self, document: Document) -> list[Chunk]:
        return [Chunk(document.id, *match.span()) for match in PARAGRAPH.finditer(document.text)]

    def extract(self, document: Document, chunk: Chunk, *, known: Sequence[Mention] = ()) -> Batch:
        mentions: dict[Span, Mention] = {}
        evidence: list[Evidence] = []
        for match in SENTENCE.finditer(document.text, chunk.start, chunk.end):
            self.report["sentences"] += 1
            if match["fails"]:
                if self.failing:
                    raise ExtractionError(f"cannot read {match[0]!r}")
                continue
            head = self._mention(match, "head", chunk, [*known, *mentions.values()])
            mentions.setdefault(match.span("head"), head)
            tail: str | Literal
            if match["date"]:
                tail, tail_span = Literal(match["date"], "xsd:date"), match.span("date")
            else:
                mention = self._mention(match, "tail", chunk, [*known, *mentions.values()])
                mentions.setdefault(match.span("tail"), mention)
                tail, tail_span = mention.entity, match.span("tail")
            evidence.append(
                Evidence(
                    head=head.entity,
                    relation=match["relation"] or "began on",
                    tail=tail,
                    score=0.9,
                    config=self.config.id,
                    chunk=chunk.id,
                    span=match.span(),
                    head_span=match.span("head"),
                    tail_span=tail_span,
                    quote=match[0],
                    negated=match["how"] == "never",
                    hedged=match["how"] == "perhaps",
                )
            )
        if self.delay:
            time.sleep(self.delay)
        return Batch(mentions=tuple(mentions.values()), evidence=tuple(evidence))

    def _mention(
        self, match: re.Match[str], group: str, chunk: Chunk, known: Sequence[Mention]
    ) -> Mention:
        surface = match[group]
        longer = (m.name for m in known if m.name.endswith(f" {surface}"))
        name = next(longer, surface)
        type_name = "Person" if " " in name else "Place"
        return Mention(
            entity=entity_id(name, type_name),
            surface=surface,
            name=name,
            type=type_name,
            chunk=chunk.id,
            span=match.span(group),
            config=self.config.id,
        )


def write_folder(folder: Path, *, documents: int = 6, paragraphs: int = 5) -> Path:
    """Fill a folder with documents of different formats that share entities and sentences."""
    people = (
        "Marie Curie|Lise Meitner|Niels Bohr|Zoe\u0308 Ståle|Enrico Fermi|Otto 👩‍🔬 Hahn".split("|")
    )
    places = "Paris|Vienna|København|Rome".split("|")
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(documents):
        person, friend = people[number % 6], people[(number + 1) % 6]
        lines = []
        for index in range(paragraphs):
            place = places[(number + index) % 4]
            lines.append(
                f"{person} links {place}.\r\n{person.split()[-1]} joins {friend}. "
                f"{friend} never links {place}.\n{friend} perhaps joins {place}. "
                f"{person} began on 19{number:02}-01-0{index % 9 + 1}."
            )
        text = "\n\n".join(lines) + "\n"
        suffix = (".txt", ".md", ".txt")[number % 3]
        (folder / f"part-{number % 2}").mkdir(exist_ok=True)
        (folder / f"part-{number % 2}" / f"{number:03}{suffix}").write_bytes(text.encode())
    return folder
