"""The contract of every store, as one case class; a backend's test is a class with one fixture.

The graph is small enough to be solved by hand: two documents on Marie Curie, one literal, one
negated and one hedged statement, one symmetric relation.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator

import pytest

from kg.derivation import Naming, Statement, derive
from kg.errors import KgError, LimitReached, NotFound, QueryError, QueryRefused, RecordError
from kg.graph_hash import graph_hash
from kg.ids import entity_id, triple_id
from kg.records import (
    Batch,
    Chunk,
    Config,
    Document,
    Entity,
    Evidence,
    Literal,
    Mention,
    Merge,
    Prediction,
    RelationName,
    Task,
    Triple,
)
from kg.store.protocol import GraphStore, Limits, Node, Relationship

FIRST = Document(
    uri="curie.txt",
    title="Marie Curie",
    text="Marie Curie was born in Warsaw on 7 November 1867.\r\n"
    "Curie married Pierre Curie 💍. She never worked in Café Ålesund.",
)
SECOND = Document(
    uri="pierre.txt",
    title="Pierre Curie",
    text="Pierre Curie married Marie Curie. Perhaps Warsaw is the birthplace of Marie Curie.",
)
TYPES = {"Person": "", "Place": "", "City": "Place"}
CONFIG = Config("hand", parameters={"types": TYPES})
NEWER = Config("hand", version="2", parameters={"types": TYPES})
OTHER = Config("other", parameters={"types": TYPES})
NAMES = (
    RelationName("born_in", "born_in"),
    RelationName("birthplace of", "born_in", swapped=True),
    RelationName("spouse", "spouse", symmetric=True),
    RelationName("married", "spouse", symmetric=True),
)
MARIE = entity_id("Marie Curie", "Person")
PIERRE = entity_id("Pierre Curie", "Person")
WARSAW = entity_id("Warsaw", "Place")
CAFE = entity_id("Café Ålesund", "Place")
BORN = triple_id(MARIE, "BORN_IN", WARSAW)
SPOUSE = triple_id(*sorted([MARIE, PIERRE])[:1], "SPOUSE", sorted([MARIE, PIERRE])[1])


def span_of(document: Document, quote: str, start: int = 0) -> tuple[int, int]:
    at = document.text.index(quote, start)
    return at, at + len(quote)


def mention(
    document: Document,
    chunk: Chunk,
    surface: str,
    type: str,
    *,
    name: str = "",
    config: Config = CONFIG,
    occurrence: int = 0,
) -> Mention:
    start = -1
    for _ in range(occurrence + 1):
        start = document.text.index(surface, start + 1)
    root = {"City": "Place"}.get(type, type)
    return Mention(
        entity=entity_id(name or surface, root),
        surface=surface,
        name=name,
        type=type,
        chunk=chunk.id,
        span=(start, start + len(surface)),
        config=config.id,
    )


def evidence(
    document: Document,
    chunk: Chunk,
    quote: str,
    head: str,
    relation: str,
    tail: str | Literal,
    score: float,
    *,
    config: Config = CONFIG,
    negated: bool = False,
    hedged: bool = False,
) -> Evidence:
    return Evidence(
        head=head,
        relation=relation,
        tail=tail,
        score=score,
        config=config.id,
        chunk=chunk.id,
        span=span_of(document, quote),
        quote=quote,
        negated=negated,
        hedged=hedged,
    )


def first_batch(config: Config = CONFIG) -> Batch:
    chunk = Chunk(FIRST.id, 0, len(FIRST.text))
    born = "Marie Curie was born in Warsaw on 7 November 1867."
    date = Literal("1867-11-07", "xsd:date")
    return Batch(
        documents=(FIRST,),
        chunks=(chunk,),
        mentions=(
            mention(FIRST, chunk, "Marie Curie", "Person", config=config),
            mention(FIRST, chunk, "Curie", "Person", name="Marie Curie", config=config),
            mention(FIRST, chunk, "Pierre Curie", "Person", config=config),
            mention(FIRST, chunk, "Warsaw", "City", config=config),
            mention(FIRST, chunk, "Café Ålesund", "Place", config=config),
        ),
        evidence=(
            evidence(FIRST, chunk, born, MARIE, "born_in", WARSAW, 0.9, config=config),
            evidence(FIRST, chunk, born, MARIE, "date_of_birth", date, 0.8, config=config),
            evidence(
                *(FIRST, chunk, "Curie married Pierre Curie 💍.", MARIE, "married", PIERRE, 0.7),
                config=config,
            ),
            evidence(
                *(FIRST, chunk, "She never worked in Café Ålesund.", MARIE, "work", CAFE, 0.6),
                config=config,
                negated=True,
            ),
        ),
        tasks=(Task(chunk.id, config.id),),
        relation_names=NAMES,
    )


def second_batch(config: Config = CONFIG) -> Batch:
    chunk = Chunk(SECOND.id, 0, len(SECOND.text))
    hedge = "Perhaps Warsaw is the birthplace of Marie Curie."
    return Batch(
        documents=(SECOND,),
        chunks=(chunk,),
        mentions=(
            mention(SECOND, chunk, "Pierre Curie", "Person", config=config),
            mention(SECOND, chunk, "Marie Curie", "Person", config=config),
            mention(SECOND, chunk, "Warsaw", "City", config=config),
        ),
        evidence=(
            evidence(
                *(SECOND, chunk, "Pierre Curie married Marie Curie.", PIERRE, "spouse", MARIE),
                0.5,
                config=config,
            ),
            evidence(
                *(SECOND, chunk, hedge, WARSAW, "birthplace of", MARIE, 0.4),
                config=config,
                hedged=True,
            ),
        ),
        tasks=(Task(chunk.id, config.id),),
        relation_names=NAMES,
    )


def fill(graph: GraphStore, *batches: Batch, config: Config = CONFIG, run: str = "") -> str:
    run = graph.begin_run(config, run=run).id
    for batch in batches:
        graph.write(batch, run=run)
    graph.finish_run(run, {"documents": len(batches)})
    return run


def pure_hash_inputs(graph: GraphStore) -> dict[str, object]:
    """The slow, obvious twin: derive everything at once from what the store says was written."""
    twin = derive(
        map(Naming.of, graph.written("mention")),
        map(Statement.of, graph.written("evidence")),
        merges=graph.written("merge"),
        relation_names=graph.written("relation_name"),
        configs={config.id: config for config in graph.written("config")},
    )
    return {
        "entities": sorted(twin.entities.values(), key=lambda e: e.id),
        "triples": sorted(twin.triples.values(), key=lambda t: t.id),
    }


def check_equals_twin(graph: GraphStore) -> None:
    twin = pure_hash_inputs(graph)
    assert list(graph.derived("entity")) == twin["entities"]
    assert list(graph.derived("triple")) == twin["triples"]


class StoreContract:
    """All checks that a store must pass. A subclass gives the fixture `new_graph`."""

    @pytest.fixture
    def graph(self, new_graph: Callable[[], GraphStore]) -> Iterator[GraphStore]:
        store = new_graph()
        yield store
        store.close()

    # -- writing ---------------------------------------------------------------------------

    def test_what_is_written_is_read_back_unchanged(self, graph: GraphStore) -> None:
        batch = first_batch()
        fill(graph, batch)
        assert list(graph.written("document")) == [FIRST]
        assert list(graph.written("chunk")) == list(batch.chunks)
        assert list(graph.written("mention")) == sorted(batch.mentions, key=lambda m: m.id)
        assert list(graph.written("evidence")) == sorted(batch.evidence, key=lambda e: e.id)
        assert list(graph.written("task")) == list(batch.tasks)
        assert list(graph.written("config")) == [CONFIG]
        assert set(graph.written("relation_name")) == set(NAMES)

    def test_second_identical_write_creates_nothing(self, graph: GraphStore) -> None:
        fill(graph, first_batch(), second_batch())
        before = graph_hash(graph), graph.stats()
        run = graph.begin_run(CONFIG).id
        report = graph.write(first_batch(), run=run)
        assert report.created == 0
        assert report.linked == 9  # 5 mentions and 4 evidences gain a link to the new run
        after = graph.stats()
        assert graph_hash(graph) == before[0]
        assert (after.evidence, after.mentions, after.triples) == (6, 8, 3)
        assert after.runs == before[1].runs + 1

    def test_duplicates_inside_a_batch_are_counted(self, graph: GraphStore) -> None:
        batch = first_batch()
        doubled = Batch(
            documents=batch.documents,
            chunks=batch.chunks,
            mentions=batch.mentions * 2,
            evidence=batch.evidence * 2,
        )
        run = graph.begin_run(CONFIG).id
        assert graph.write(doubled, run=run).duplicates_in_batch == 9

    def test_every_order_of_arrival_gives_the_same_hash(
        self, new_graph: Callable[[], GraphStore]
    ) -> None:
        hashes = set()
        for order in itertools.permutations(range(2)):
            graph = new_graph()
            batches = [first_batch(), second_batch()]
            fill(graph, *(shuffled(batches[i], seed=i) for i in order))
            check_equals_twin(graph)
            hashes.add(graph_hash(graph))
            graph.close()
        assert len(hashes) == 1

    def test_one_batch_or_many_give_the_same_hash(
        self, new_graph: Callable[[], GraphStore]
    ) -> None:
        one = new_graph()  # a server may have room for one graph only
        fill(one, first_batch())
        at_once = graph_hash(one)
        one.close()
        batch, many = first_batch(), new_graph()
        run = many.begin_run(CONFIG).id
        many.write(Batch(documents=batch.documents, chunks=batch.chunks), run=run)
        for part in batch.mentions:
            many.write(Batch(mentions=(part,)), run=run)
        for claim in batch.evidence:
            many.write(Batch(evidence=(claim,)), run=run)
        many.write(Batch(relation_names=NAMES), run=run)
        assert graph_hash(many) == at_once
        many.close()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"quote": "Marie Curie was born in Warsaw on 7 November 1868."}, "quotes"),
            ({"head": entity_id("Nobody", "Person")}, "no mention names"),
            ({"chunk": "c_" + "0" * 32}, "not written yet"),
            ({"config": "f_" + "0" * 32}, "begin a run"),
            ({"head_span": (60, 70)}, "outside"),
        ],
    )
    def test_a_wrong_record_is_refused_and_nothing_written(
        self, graph: GraphStore, change: dict[str, object], message: str
    ) -> None:
        batch = first_batch()
        good = batch.evidence[0]
        fields = {name: getattr(good, name) for name in Evidence.__slots__ if name not in ("id",)}
        broken = Evidence(**{**fields, **change})
        run = graph.begin_run(CONFIG).id
        with pytest.raises(RecordError, match=message):
            graph.write(
                Batch(
                    documents=batch.documents,
                    chunks=batch.chunks,
                    mentions=batch.mentions,
                    evidence=(broken,),
                ),
                run=run,
            )
        assert graph.stats().documents == 0
        assert list(graph.written("mention")) == []

    def test_overlapping_chunks_are_refused(self, graph: GraphStore) -> None:
        run = graph.begin_run(CONFIG).id
        with pytest.raises(RecordError, match="overlap"):
            graph.write(
                Batch(documents=(FIRST,), chunks=(Chunk(FIRST.id, 0, 20), Chunk(FIRST.id, 19, 40))),
                run=run,
            )

    def test_unknown_run_names_the_latest(self, graph: GraphStore) -> None:
        run = fill(graph, first_batch())
        with pytest.raises(NotFound, match=run):
            graph.write(first_batch(), run="r_nothing")

    # -- derivation ------------------------------------------------------------------------

    def test_derived_graph_as_solved_by_hand(self, graph: GraphStore) -> None:
        fill(graph, first_batch(), second_batch())
        entities = {entity.id: entity for entity in graph.derived("entity")}
        assert set(entities) == {MARIE, PIERRE, WARSAW, CAFE}
        assert entities[MARIE] == Entity(
            id=MARIE, name="Marie Curie", types=("Person",), aliases=("Curie",)
        )
        assert entities[WARSAW].types == ("City", "Place")
        date = Literal("1867-11-07", "xsd:date")
        assert list(graph.derived("literal")) == [date]
        triples = {triple.id: triple for triple in graph.derived("triple")}
        # Born in Warsaw: one source, the hedged one does not count. Married: two sources.
        assert triples[BORN] == Triple(MARIE, "BORN_IN", WARSAW, "born_in", 0.9, 1)
        assert triples[SPOUSE].support == 2
        assert triples[SPOUSE].score == pytest.approx(1 - 0.3 * 0.5)
        assert {t.relation for t in triples.values()} == {"BORN_IN", "SPOUSE", "DATE_OF_BIRTH"}
        check_equals_twin(graph)

    def test_equal_sentences_are_one_source(self, graph: GraphStore) -> None:
        copy = Document(uri="copy.txt", text=FIRST.text, title="Copy")
        chunk = Chunk(copy.id, 0, len(copy.text))
        quote = "Marie Curie was born in Warsaw on 7 November 1867."
        fill(
            graph,
            first_batch(),
            Batch(
                documents=(copy,),
                chunks=(chunk,),
                mentions=(
                    mention(copy, chunk, "Marie Curie", "Person"),
                    mention(copy, chunk, "Warsaw", "City"),
                ),
                evidence=(evidence(copy, chunk, quote, MARIE, "born_in", WARSAW, 0.95),),
            ),
        )
        triple = graph.get(BORN)
        assert isinstance(triple, Triple)
        assert (triple.support, triple.score) == (1, 0.95)

    def test_hedged_evidence_supports_when_its_config_asks(self, graph: GraphStore) -> None:
        asking = Config("hand", parameters={"types": TYPES, "include_hedged": True})
        fill(graph, second_batch(asking), config=asking)
        triple = graph.get(BORN)
        assert isinstance(triple, Triple)
        assert triple.score == pytest.approx(0.4)

    def test_untyped_entity_joins_the_only_typed_one(self, graph: GraphStore) -> None:
        bare = entity_id("Warsaw", "")
        run = fill(graph, first_batch())
        graph.write(Batch(mentions=(Mention(bare, "WARSAW", CONFIG.id),)), run=run)
        joined = graph.get(bare)
        assert isinstance(joined, Entity)
        assert joined.id == WARSAW
        assert {joined.name, *joined.aliases} == {"Warsaw", "WARSAW"}
        check_equals_twin(graph)
        # A second typed Warsaw appears: now nobody knows which one was meant.
        ship = entity_id("Warsaw", "Ship")
        graph.write(Batch(mentions=(Mention(ship, "Warsaw", CONFIG.id, type="Ship"),)), run=run)
        alone = graph.get(bare)
        assert isinstance(alone, Entity)
        assert alone.id == bare
        check_equals_twin(graph)

    def test_untyped_end_of_evidence_moves_with_its_entity(self, graph: GraphStore) -> None:
        """The evidence comes before the typed mention that its end will join."""
        bare = entity_id("Warsaw", "")
        chunk = Chunk(SECOND.id, 0, len(SECOND.text))
        run = graph.begin_run(CONFIG).id
        quote = "Pierre Curie married Marie Curie."
        graph.write(
            Batch(
                documents=(SECOND,),
                chunks=(chunk,),
                mentions=(
                    mention(SECOND, chunk, "Marie Curie", "Person"),
                    Mention(bare, "Warsaw", CONFIG.id),
                ),
                evidence=(evidence(SECOND, chunk, quote, MARIE, "born_in", bare, 0.9),),
            ),
            run=run,
        )
        assert isinstance(graph.get(triple_id(MARIE, "BORN_IN", bare)), Triple)
        graph.write(Batch(mentions=(mention(SECOND, chunk, "Warsaw", "City"),)), run=run)
        assert isinstance(graph.get(BORN), Triple)
        with pytest.raises(NotFound):
            graph.get(triple_id(MARIE, "BORN_IN", bare))
        check_equals_twin(graph)

    # -- merges ----------------------------------------------------------------------------

    def test_merge_is_followed_and_undone(self, graph: GraphStore) -> None:
        fill(graph, first_batch(), second_batch())
        before = graph_hash(graph)
        run = graph.begin_run(Config("resolve")).id
        graph.write(Batch(merges=(Merge(MARIE, PIERRE, "test", 1.0, run),)), run=run)
        merged = graph.get(PIERRE)
        assert isinstance(merged, Entity)
        assert merged.id == MARIE
        assert graph.stats().merges == 1
        check_equals_twin(graph)
        graph.undo(run)
        assert graph_hash(graph) == before

    def test_chained_merges_form_one_entity(self, graph: GraphStore) -> None:
        fill(graph, first_batch())
        run = graph.begin_run(Config("resolve")).id
        pairs = [(MARIE, PIERRE), (WARSAW, CAFE), (PIERRE, WARSAW)]
        for kept, dropped in pairs:
            graph.write(Batch(merges=(Merge(kept, dropped, "test", 1.0, run),)), run=run)
        assert [entity.id for entity in graph.derived("entity")] == [MARIE]
        check_equals_twin(graph)

    # -- relation names --------------------------------------------------------------------

    def test_relation_names_of_a_run_are_applied_undone_and_applied_again(
        self, graph: GraphStore
    ) -> None:
        fill(graph, first_batch(), second_batch())
        before = graph_hash(graph)
        for _ in range(2):
            run = graph.begin_run(Config("canonicalise")).id
            found = (
                RelationName("date_of_birth", "born on", layer="test", score=0.9, run=run),
                RelationName("work", "employs", swapped=True, layer="test", run=run),
            )
            report = graph.write(Batch(relation_names=found), run=run)
            assert report.created == 2
            assert graph.write(Batch(relation_names=found), run=run).created == 0
            assert set(graph.written("relation_name", run=run)) == set(found)
            assert {t.relation: t.predicate for t in graph.derived("triple")} == {
                "BORN_IN": "born_in",
                "SPOUSE": "spouse",
                "BORN_ON": "date_of_birth",  # the raw phrase is kept
            }
            assert graph.read("MATCH ()-[r:BORN_ON]->() RETURN count(r)").rows == ((1,),)
            check_equals_twin(graph)
            assert graph.undo(run).relation_names == 2
            assert set(graph.written("relation_name")) == set(NAMES)
            check_equals_twin(graph)
            assert graph_hash(graph) == before

    def test_a_schema_beats_what_a_run_found(self, graph: GraphStore) -> None:
        fill(graph, first_batch(), second_batch())
        before = graph_hash(graph)
        run = graph.begin_run(Config("canonicalise")).id
        # "aaa" would hold by its name: it is smaller than "born_in".
        graph.write(Batch(relation_names=(RelationName("born_in", "aaa", run=run),)), run=run)
        check_equals_twin(graph)
        assert graph_hash(graph) == before

    def test_a_relation_name_that_two_runs_found_survives_the_undo_of_one(
        self, graph: GraphStore
    ) -> None:
        fill(graph, first_batch())
        first, second = (graph.begin_run(Config("canonicalise")).id for _ in range(2))
        for run in (first, second):
            row = RelationName("date_of_birth", "born on", layer="test", run=run)
            graph.write(Batch(relation_names=(row,)), run=run)
        named = graph_hash(graph)
        graph.undo(first)
        assert graph_hash(graph) == named
        check_equals_twin(graph)

    # -- undo, delete, adopt, supersede ----------------------------------------------------

    def test_undo_leaves_nothing_and_writing_again_gives_the_same(self, graph: GraphStore) -> None:
        empty = graph_hash(graph)
        run = fill(graph, first_batch(), second_batch())
        full = graph_hash(graph)
        report = graph.undo(run)
        assert (report.evidence, report.mentions, report.tasks) == (6, 8, 2)
        assert graph_hash(graph) == empty
        stats = graph.stats()
        assert (stats.entities, stats.literals, stats.documents, stats.chunks) == (0, 0, 0, 0)
        fill(graph, first_batch(), second_batch())
        assert graph_hash(graph) == full

    def test_undo_keeps_what_another_run_found(self, graph: GraphStore) -> None:
        first = fill(graph, first_batch())
        fill(graph, first_batch(), second_batch())
        full = graph_hash(graph)
        graph.undo(first)
        assert graph_hash(graph) == full

    def test_adopted_tasks_survive_the_undo_of_their_run(self, graph: GraphStore) -> None:
        first = fill(graph, first_batch())
        full = graph_hash(graph)
        second = graph.begin_run(CONFIG).id
        assert graph.adopt(first_batch().tasks, run=second) == 10  # 5 + 4 links, 1 task
        graph.undo(first)
        assert graph_hash(graph) == full
        assert list(graph.written("task")) == list(first_batch().tasks)
        graph.undo(second)
        assert graph.stats().evidence == 0

    def test_unknown_run_cannot_be_undone(self, graph: GraphStore) -> None:
        with pytest.raises(NotFound, match="none yet"):
            graph.undo("r_1")

    def test_delete_removes_only_what_stands_in_the_document(self, graph: GraphStore) -> None:
        fill(graph, first_batch(), second_batch())
        report = graph.delete_document("curie.txt")
        assert (report.documents, report.chunks, report.tasks) == (1, 1, 1)
        assert [document.uri for document in graph.written("document")] == ["pierre.txt"]
        assert {e.id for e in graph.written("evidence")} == {e.id for e in second_batch().evidence}
        assert [triple.id for triple in graph.derived("triple")] == [SPOUSE]
        assert list(graph.derived("literal")) == []
        check_equals_twin(graph)

    def test_delete_of_an_unknown_document_names_near_ones(self, graph: GraphStore) -> None:
        fill(graph, first_batch())
        with pytest.raises(NotFound, match=r"curie\.txt"):
            graph.delete_document("curry.txt")

    def test_new_text_of_a_uri_supersedes_the_old(
        self, graph: GraphStore, new_graph: Callable[[], GraphStore]
    ) -> None:
        old = Document(uri=FIRST.uri, text="Marie Curie was a physicist.")
        chunk = Chunk(old.id, 0, len(old.text))
        run = graph.begin_run(CONFIG).id
        graph.write(
            Batch(
                documents=(old,),
                chunks=(chunk,),
                mentions=(mention(old, chunk, "Marie Curie", "Person"),),
                tasks=(Task(chunk.id, CONFIG.id),),
            ),
            run=run,
        )
        graph.write(first_batch(), run=run)
        assert graph.stats().documents == 2
        report = graph.supersede(FIRST.id, CONFIG.id)
        assert (report.documents, report.mentions) == (1, 1)
        found = graph_hash(graph)
        alone = new_graph()
        fill(alone, first_batch())
        assert graph_hash(alone) == found
        alone.close()

    def test_newer_version_supersedes_its_own_evidence_only(self, graph: GraphStore) -> None:
        fill(graph, first_batch(OTHER), config=OTHER)
        fill(graph, first_batch(CONFIG))
        fill(graph, first_batch(NEWER), config=NEWER)
        report = graph.supersede(FIRST.id, NEWER.id)
        assert (report.evidence, report.mentions, report.tasks) == (4, 5, 1)
        assert {e.config for e in graph.written("evidence")} == {OTHER.id, NEWER.id}
        assert graph.supersede(FIRST.id, NEWER.id).evidence == 0

    # -- tasks -----------------------------------------------------------------------------

    def test_a_task_is_leased_to_one_owner(self, graph: GraphStore) -> None:
        graph.begin_run(CONFIG)
        tasks = first_batch().tasks
        assert graph.claim(tasks, owner="a").granted == tasks
        assert graph.claim(tasks, owner="b").busy == tasks
        assert graph.claim(tasks, owner="a").granted == tasks  # a heartbeat

    def test_a_lease_past_its_time_is_taken_over(self, graph: GraphStore) -> None:
        graph.begin_run(CONFIG)
        tasks = first_batch().tasks
        graph.claim(tasks, owner="a", ttl=-1.0)
        assert graph.claim(tasks, owner="b").granted == tasks

    def test_a_written_task_is_done(self, graph: GraphStore) -> None:
        graph.begin_run(CONFIG)
        tasks = first_batch().tasks
        graph.claim(tasks, owner="a")
        fill(graph, first_batch())
        assert graph.claim(tasks, owner="b").done == tasks

    # -- predictions -----------------------------------------------------------------------

    def test_predictions_are_marked_counted_apart_and_undone(self, graph: GraphStore) -> None:
        fill(graph, first_batch(), second_batch())
        before = graph_hash(graph)
        run = graph.begin_run(Config("link-prediction")).id
        new = Prediction(PIERRE, "BORN_IN", WARSAW, 0.7, 1, "w", graph.change_counter, run)
        known = Prediction(MARIE, "BORN_IN", WARSAW, 0.9, 1, "w", graph.change_counter, run)
        graph.write(Batch(predictions=(new, known)), run=run)
        rows = graph.read(
            "MATCH (h:Entity)-[p:PREDICTED]->(t:Entity) RETURN h.name, p.predicate, t.name, p.score"
        )
        assert list(rows) == [("Pierre Curie", "BORN_IN", "Warsaw", 0.7)]
        assert graph.stats().predictions == 1
        assert graph.stats().triples == 3
        assert graph_hash(graph) == before
        again = graph.begin_run(Config("link-prediction")).id
        graph.write(Batch(predictions=(dataclasses.replace(new, run=again),)), run=again)
        assert graph.stats().predictions == 1
        assert graph.undo(run).predictions == 2
        assert graph.stats().predictions == 1
        assert graph.undo(again).predictions == 1
        assert graph.stats().predictions == 0

    # -- reading ---------------------------------------------------------------------------

    def test_cypher_sees_the_agreed_shape(self, graph: GraphStore) -> None:
        fill(graph, first_batch(), second_batch())
        rows = graph.read(
            "MATCH (p:Person {name: $name})-[b:BORN_IN]->(c:City) RETURN p, b, c",
            {"name": "Marie Curie"},
        )
        assert rows.columns == ("p", "b", "c")
        ((person, born, city),) = rows.rows
        assert isinstance(person, Node)
        assert set(person.labels) == {"Entity", "Person"}
        assert person.properties["aliases"] == ["Curie"]
        assert isinstance(born, Relationship)
        assert born.type == "BORN_IN"
        assert born.properties["id"] == BORN
        assert born.properties["support"] == 1
        assert set(city.labels) == {"Entity", "City", "Place"}
        sources = graph.read(
            "MATCH (d:Document)<-[:FROM_DOCUMENT]-(c:Chunk)-[s:STATES]->(h:Entity) "
            "WHERE s.triple_id = $id RETURN d.uri, s.quote, s.hedged, h.name ORDER BY d.uri",
            {"id": BORN},
        )
        assert [row[0] for row in sources] == ["curie.txt", "pierre.txt"]
        assert [row[2] for row in sources] == [False, True]
        assert [row[3] for row in sources] == ["Marie Curie", "Marie Curie"]
        literal = graph.read("MATCH (:Person)-[:DATE_OF_BIRTH]->(l:Literal) RETURN l.lexical")
        assert list(literal) == [("1867-11-07",)]
        mentions = graph.read(
            "MATCH (:Chunk)-[m:MENTIONS]->(e:Entity {id: $id}) RETURN m.surface, m.start, m.type",
            {"id": MARIE},
        )
        assert ("Curie", 6, "Person") in list(mentions)

    def test_evidence_of_a_triple_includes_the_hedged(self, graph: GraphStore) -> None:
        fill(graph, first_batch(), second_batch())
        found = list(graph.written("evidence", triple=BORN))
        assert [e.hedged for e in sorted(found, key=lambda e: e.hedged)] == [False, True]

    def test_filters_of_written(self, graph: GraphStore) -> None:
        run = fill(graph, first_batch(), second_batch())
        chunk = first_batch().chunks[0]
        assert len(list(graph.written("evidence", document=FIRST.id))) == 4
        assert len(list(graph.written("evidence", chunk=chunk.id))) == 4
        assert len(list(graph.written("mention", document=SECOND.id, config=CONFIG.id))) == 3
        assert len(list(graph.written("mention", run=run))) == 8
        assert [d.uri for d in graph.written("document", uri="curie.txt")] == ["curie.txt"]
        assert [r.id for r in graph.written("run", id=run)] == [run]
        assert dict(next(graph.written("run", id=run)).counts) == {"documents": 2}
        with pytest.raises(KgError, match="allowed"):
            graph.written("document", colour="red")
        with pytest.raises(KgError, match="no written records"):
            graph.written("colour")  # type: ignore[call-overload]

    def test_links_say_which_runs_found_what(self, graph: GraphStore) -> None:
        first = fill(graph, first_batch(), second_batch())
        second = fill(graph, first_batch())
        both = {m.id for m in first_batch().mentions}
        links = list(graph.written("mention_link"))
        assert links == sorted(links, key=lambda link: (link.record, link.run))
        assert {link.record for link in links if link.run == second} == both
        assert {link.record for link in links if link.run == first} == {
            m.id for m in graph.written("mention")
        }
        evidence = list(graph.written("evidence_link", run=second))
        assert {link.record for link in evidence} == {e.id for e in first_batch().evidence}
        assert list(graph.written("task", run=second)) == list(first_batch().tasks)
        assert len(list(graph.written("task", run=first))) == 2

    def test_writing_through_read_is_refused(self, graph: GraphStore) -> None:
        fill(graph, first_batch())
        before = graph_hash(graph)
        with pytest.raises(QueryRefused):
            graph.read("MATCH (n) DETACH DELETE n")
        assert graph_hash(graph) == before

    def test_a_broken_query_says_so(self, graph: GraphStore) -> None:
        with pytest.raises((QueryError, QueryRefused)):
            graph.read("MATCH (n RETURN n")

    def test_limits_are_enforced(self, graph: GraphStore) -> None:
        fill(graph, first_batch())
        with pytest.raises(LimitReached, match="rows"):
            graph.read("MATCH (e:Entity) RETURN e.name", limits=Limits(rows=2))
        with pytest.raises(LimitReached, match="characters"):
            graph.read("MATCH (e:Entity) RETURN e.name", limits=Limits(characters=5))

    def test_get_of_an_unknown_id(self, graph: GraphStore) -> None:
        for id in ("e_" + "0" * 32, "t_" + "0" * 32, "l_" + "0" * 32, "nonsense"):
            with pytest.raises(NotFound):
                graph.get(id)

    def test_stats(self, graph: GraphStore) -> None:
        fill(graph, first_batch(), second_batch())
        stats = graph.stats()
        assert (stats.documents, stats.chunks, stats.mentions, stats.evidence) == (2, 2, 8, 6)
        assert (stats.entities, stats.literals, stats.triples) == (4, 1, 3)
        assert stats.relations == {"BORN_IN": 1, "DATE_OF_BIRTH": 1, "SPOUSE": 1}
        assert stats.types == {"Person": 2, "City": 1, "Place": 1}

    def test_change_counter_grows_with_changes_only(self, graph: GraphStore) -> None:
        fill(graph, first_batch())
        counter = graph.change_counter
        fill(graph, first_batch())
        assert graph.change_counter == counter
        fill(graph, second_batch())
        assert graph.change_counter > counter

    def test_props_round_trip(self, graph: GraphStore) -> None:
        run = graph.begin_run(CONFIG).id
        props = {"founded": 1909, "note": "a 'quoted' \"text\"", "nested": {"list": [1, 2]}}
        id = entity_id("Radium Institute", "Organization")
        graph.write(
            Batch(
                mentions=(
                    Mention(
                        *(id, "Radium Institute", CONFIG.id),
                        type="Organization",
                        description="a laboratory",
                        props=props,
                    ),
                )
            ),
            run=run,
        )
        entity = graph.get(id)
        assert isinstance(entity, Entity)
        assert dict(entity.props) == props
        assert entity.description == "a laboratory"
        rows = graph.read("MATCH (e:Organization) RETURN e.founded, e.note")
        assert list(rows) == [(1909, "a 'quoted' \"text\"")]

    def test_random_graphs_equal_their_twin(self, graph: GraphStore) -> None:
        """Many small writes in random order, with names that collide and types that disagree."""
        chance = random.Random(7)
        run = graph.begin_run(CONFIG).id
        names, types = ["Ada", "ada", "Bob", "Rome"], ["", "Person", "City", "Place"]
        root = {"City": "Place"}
        for step in range(40):
            text = f"Sentence {step % 15} says so."
            document = Document(uri=f"{step}.txt", text=text)
            chunk = Chunk(document.id, 0, len(text))
            ends = []
            for _ in range(2):
                name, type = chance.choice(names), chance.choice(types)
                id = entity_id(name, root.get(type, type))
                ends.append(Mention(id, name, CONFIG.id, type=type))
            statement = Evidence(
                head=ends[0].entity,
                relation=chance.choice(["knows", "married", "birthplace of"]),
                tail=ends[1].entity,
                score=round(chance.random(), 4),
                config=CONFIG.id,
                chunk=chunk.id,
                span=(0, len(text)),
                quote=text,
                negated=chance.random() < 0.1,
            )
            graph.write(
                Batch(
                    documents=(document,),
                    chunks=(chunk,),
                    mentions=tuple(ends),
                    evidence=(statement,),
                    relation_names=NAMES if step == 20 else (),
                ),
                run=run,
            )
            if step % 10 == 9:
                check_equals_twin(graph)
        for step in (3, 17, 30):
            graph.delete_document(f"{step}.txt")
            check_equals_twin(graph)


def shuffled(batch: Batch, *, seed: int) -> Batch:
    chance = random.Random(seed)

    def mixed[T](rows: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(chance.sample(rows, len(rows)))

    return Batch(
        documents=batch.documents,
        chunks=mixed(batch.chunks),
        mentions=mixed(batch.mentions),
        evidence=mixed(batch.evidence),
        tasks=batch.tasks,
        relation_names=mixed(batch.relation_names),
    )
