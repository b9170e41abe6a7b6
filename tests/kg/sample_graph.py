"""A small graph with everything a picture or a command must cope with, written by hand.

| triple | evidence |
|---|---|
| Marie Curie BORN_IN Warsaw | two documents, one of them only hedging |
| Marie Curie SPOUSE Pierre Curie | one sentence (symmetric) |
| Marie Curie EMPLOYER University of Paris | one sentence read from the other end ("employed") |
| Marie Curie DATE_OF_BIRTH 1867-11-07 | a literal |
| Marie Curie MEMBER_OF French Academy of Sciences | denied: no triple |
| Pierre Curie BORN_IN Warsaw | only predicted |
| ada <script> RELATED_TO … | names that are hostile to HTML, tables and terminals |
"""

from __future__ import annotations

from typing import ClassVar

from kg.ids import entity_id
from kg.records import (
    Batch,
    Chunk,
    Config,
    Document,
    Evidence,
    Literal,
    Mention,
    Prediction,
    RelationName,
)
from kg.store.protocol import GraphStore

CONFIG = Config(
    harvester="test",
    model="by hand",
    parameters={"types": {"City": "Place", "Place": "", "Person": "", "Organization": ""}},
)
PREDICTOR = Config(harvester="link-prediction", model="bow")

FIRST = (
    "𝒳 Marie Curie was born in Warsaw. The University of Paris employed Marie Curie. "
    "She was born on 7 November 1867. Marie Curie never joined the French Academy of Sciences. "
    "Marie Curie married Pierre Curie."
)
SECOND = "Perhaps Marie Curie\r\nwas born in Warsaw, they say."
EVIL_HEAD = "ada</script><script>alert(1)</script>"
EVIL_TAIL = "a \"quote\t<b onclick='x'>\rtab & {{x}} \x1b[31mred é🙂"
THIRD = f"{EVIL_HEAD} is related to {EVIL_TAIL}."

MARIE = entity_id("Marie Curie", "Person")
PIERRE = entity_id("Pierre Curie", "Person")
WARSAW = entity_id("Warsaw", "Place")
PARIS = entity_id("University of Paris", "Organization")
ACADEMY = entity_id("French Academy of Sciences", "Organization")

RELATIONS = (
    RelationName("born_in", "born_in"),
    RelationName("spouse", "spouse", symmetric=True),
    RelationName("employer", "employer"),
    RelationName("employed", "employer", swapped=True),
)


def fill(graph: GraphStore) -> tuple[str, str]:
    """Write the graph; return the ids of the harvest's run and of the prediction's run."""
    run = graph.begin_run(CONFIG).id
    documents = (
        Document(uri="marie.txt", title="Marie <i>Curie</i>", text=FIRST),
        Document(uri="rumour.txt", title="A rumour", text=SECOND),
        Document(uri="javascript:alert(2)", title=EVIL_HEAD, text=THIRD),
    )
    chunks = tuple(Chunk(document.id, 0, len(document.text)) for document in documents)
    writer = _Writer({chunk.document: chunk.id for chunk in chunks})
    first, second, third = documents
    writer.mention(first, MARIE, "Marie Curie", "Person")
    writer.mention(first, WARSAW, "Warsaw", "City")
    writer.mention(first, PARIS, "University of Paris", "Organization")
    writer.mention(first, ACADEMY, "French Academy of Sciences", "Organization")
    writer.mention(first, PIERRE, "Pierre Curie", "Person")
    writer.mention(second, MARIE, "Marie Curie", "Person")
    writer.mention(second, WARSAW, "Warsaw", "City")
    writer.mention(third, entity_id(EVIL_HEAD), EVIL_HEAD, "")
    writer.mention(third, entity_id(EVIL_TAIL), EVIL_TAIL, "")
    writer.state(
        first, "𝒳 Marie Curie was born in Warsaw.", "Marie Curie", "born_in", "Warsaw", 0.9
    )
    writer.state(
        first,
        "The University of Paris employed Marie Curie.",
        "University of Paris",
        "employed",
        "Marie Curie",
        0.8,
    )
    writer.state(
        first, "She was born on 7 November 1867.", "She", "date of birth", "7 November 1867", 0.7
    )
    writer.state(
        first,
        "Marie Curie never joined the French Academy of Sciences.",
        "Marie Curie",
        "member of",
        "French Academy of Sciences",
        0.6,
        negated=True,
    )
    writer.state(
        first, "Marie Curie married Pierre Curie.", "Marie Curie", "spouse", "Pierre Curie", 0.95
    )
    writer.state(second, SECOND, "Marie Curie", "born_in", "Warsaw", 0.5, hedged=True)
    writer.state(third, THIRD, EVIL_HEAD, "related to", EVIL_TAIL, 0.55)
    graph.write(
        Batch(
            documents=documents,
            chunks=chunks,
            relation_names=RELATIONS,
            mentions=tuple(writer.mentions),
            evidence=tuple(writer.evidence),
        ),
        run=run,
    )
    graph.finish_run(run, {"documents": 3})
    guess = graph.begin_run(PREDICTOR).id
    graph.write(
        Batch(
            predictions=(
                Prediction(PIERRE, "born_in", WARSAW, 0.41, 1, "w", graph.change_counter, guess),
                # Known already: it must not show as a prediction.
                Prediction(MARIE, "born_in", WARSAW, 0.99, 1, "w", graph.change_counter, guess),
            )
        ),
        run=guess,
    )
    graph.finish_run(guess, {"predictions": 2})
    return run, guess


class _Writer:
    """Finds quotes and names in the documents, so that spans are right by construction."""

    ENDS: ClassVar = {
        "Marie Curie": MARIE,
        "She": MARIE,
        "Pierre Curie": PIERRE,
        "Warsaw": WARSAW,
        "University of Paris": PARIS,
        "French Academy of Sciences": ACADEMY,
        "7 November 1867": Literal("1867-11-07", "xsd:date"),
        EVIL_HEAD: entity_id(EVIL_HEAD),
        EVIL_TAIL: entity_id(EVIL_TAIL),
    }

    def __init__(self, chunks: dict[str, str]) -> None:
        self.chunks = chunks
        self.mentions: list[Mention] = []
        self.evidence: list[Evidence] = []

    def mention(self, document: Document, entity: str, surface: str, type: str) -> None:
        start = document.text.index(surface)
        self.mentions.append(
            Mention(
                entity=entity,
                surface=surface,
                config=CONFIG.id,
                type=type,
                chunk=self.chunks[document.id],
                span=(start, start + len(surface)),
            )
        )

    def state(
        self,
        document: Document,
        quote: str,
        head: str,
        relation: str,
        tail: str,
        score: float,
        *,
        negated: bool = False,
        hedged: bool = False,
    ) -> None:
        start = document.text.index(quote)
        spans = []
        for name in (head, tail):
            at = start + quote.index(name)
            spans.append((at, at + len(name)))
        raw = self.ENDS[head]
        assert isinstance(raw, str)
        self.evidence.append(
            Evidence(
                head=raw,
                relation=relation,
                tail=self.ENDS[tail],
                score=score,
                config=CONFIG.id,
                chunk=self.chunks[document.id],
                span=(start, start + len(quote)),
                head_span=spans[0],
                tail_span=spans[1],
                quote=quote,
                negated=negated,
                hedged=hedged,
            )
        )
