"""Every format: equal ids out and in again, whatever the names; lossless ones equal graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kg
from kg.errors import ExchangeError, KgError
from kg.exchange.facts import Fact, named, write_facts
from kg.exchange.formats import Format, export_graph, import_graph
from kg.exchange.restoring import RestoreReport
from kg.explanation import explain
from kg.graph_hash import graph_hash
from kg.ids import entity_id
from kg.records import Batch, Document, Literal, Mention
from kg.store.protocol import GraphStore
from tests.kg.exchange.graphs import full_graph, hostile_graph, names, scores, triples
from tests.kg.sample_graph import MARIE, WARSAW
from tests.kg.store.contract import CONFIG
from tests.kg.store.random_graph import random_batches

LOSSLESS = (Format.nq, Format.trig, Format.parquet)
#: Formats that carry every triple with its score.
SCORED = (Format.ttl, Format.nt, Format.graphml, Format.langchain, Format.llamaindex)
DERIVED = (*SCORED, Format.tsv)
BOTH_WAYS = [format for format in Format if format is not Format.neo4j_csv]

KINDS = (
    "document", "chunk", "mention", "evidence", "run", "task", "merge", "relation_name",
    "prediction", "mention_link", "evidence_link",
)  # fmt: skip


def there_and_back(graph: GraphStore, folder: Path, format: Format) -> GraphStore:
    file = folder / f"x.{format}"
    export_graph(graph, file, format=format, literals=True)
    copy = kg.open_graph("memory://")
    import_graph(copy, file, format=format)
    return copy


def written(graph: GraphStore, kind: str) -> list[object]:
    found = list(graph.written(kind))  # type: ignore[call-overload]
    # Of runs that began in the same millisecond, the first to arrive comes first.
    return sorted(found, key=lambda run: (run.started, run.id)) if kind == "run" else found


@pytest.mark.parametrize("make", [full_graph, hostile_graph])
@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_restore_everything_written(
    tmp_path: Path, format: Format, make: Callable[[], GraphStore]
) -> None:
    graph = make()
    copy = there_and_back(graph, tmp_path, format)
    assert graph_hash(copy) == graph_hash(graph)
    for kind in KINDS:
        assert written(copy, kind) == written(graph, kind), kind
    configs = {config.id for config in graph.written("config")}
    assert configs <= {config.id for config in copy.written("config")}


@pytest.mark.parametrize("format", LOSSLESS)
def test_explain_and_undo_work_as_in_the_source(tmp_path: Path, format: Format) -> None:
    graph = full_graph()
    copy = there_and_back(graph, tmp_path, format)
    for triple in graph.derived("triple"):
        assert explain(copy, triple.id) == explain(graph, triple.id)
    for run in [run.id for run in graph.written("run")]:
        assert copy.undo(run) == graph.undo(run)
        assert graph_hash(copy) == graph_hash(graph)
    assert copy.stats().evidence == 0


@pytest.mark.parametrize("make", [full_graph, hostile_graph])
@pytest.mark.parametrize("format", DERIVED)
def test_other_formats_keep_ids_names_types_and_scores(
    tmp_path: Path, format: Format, make: Callable[[], GraphStore]
) -> None:
    graph = make()
    copy = there_and_back(graph, tmp_path, format)
    assert triples(copy) == triples(graph)
    assert names(copy) == names(graph)
    assert list(copy.derived("literal")) == list(graph.derived("literal"))
    if format in SCORED:
        assert scores(copy) == scores(graph)


@pytest.mark.parametrize("make", [full_graph, hostile_graph])
def test_graphrag_keeps_ids_between_entities(
    tmp_path: Path, make: Callable[[], GraphStore]
) -> None:
    graph = make()
    copy = there_and_back(graph, tmp_path, Format.graphrag)
    linked = {id: ends for id, ends in triples(graph).items() if ends[2].startswith("e_")}
    assert triples(copy) == linked
    assert names(copy) == names(graph)


@pytest.mark.parametrize("format", BOTH_WAYS)
def test_a_second_import_creates_nothing(tmp_path: Path, format: Format) -> None:
    file = tmp_path / "x"
    graph = full_graph()
    export_graph(graph, file, format=format)
    copy = kg.open_graph("memory://")
    import_graph(copy, file, format=format)
    before = graph_hash(copy)
    assert import_graph(copy, file, format=format).created == 0
    assert graph_hash(copy) == before
    # And nothing is new to the graph that it came from, if all of it is in the file.
    if format in LOSSLESS:
        assert import_graph(graph, file, format=format).created == 0


@pytest.mark.parametrize("format", BOTH_WAYS)
def test_undo_takes_an_import_back(tmp_path: Path, format: Format) -> None:
    export_graph(full_graph(), tmp_path / "x", format=format)
    copy = kg.open_graph("memory://")
    report = import_graph(copy, tmp_path / "x", format=format)
    for run in report.runs if isinstance(report, RestoreReport) else (report.run,):
        copy.undo(run)
    found = copy.stats()
    assert (found.triples, found.entities, found.evidence, found.chunks, found.runs) == (0,) * 5


@pytest.mark.parametrize("format", BOTH_WAYS)
def test_an_empty_graph(tmp_path: Path, format: Format) -> None:
    graph = kg.open_graph("memory://")
    assert export_graph(graph, tmp_path / "x", format=format).triples == 0
    import_graph(graph, tmp_path / "x", format=format)
    assert graph.stats().triples == 0


@pytest.mark.parametrize("format", BOTH_WAYS)
def test_the_same_graph_gives_the_same_bytes(tmp_path: Path, format: Format) -> None:
    graph = full_graph()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export_graph(graph, tmp_path / name / "x", format=format)

    def content(name: str) -> list[bytes]:
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        return [path.read_bytes() for path in files]

    assert content("a") == content("b")


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000))
@pytest.mark.parametrize("format", [*LOSSLESS, *DERIVED])
def test_random_graphs(tmp_path_factory: pytest.TempPathFactory, format: Format, seed: int) -> None:
    graph = kg.open_graph("memory://")
    run = graph.begin_run(CONFIG).id
    for batch in random_batches(seed, steps=8):
        graph.write(batch, run=run)
    copy = there_and_back(graph, tmp_path_factory.mktemp("x"), format)
    assert triples(copy) == triples(graph)
    if format in LOSSLESS:
        assert graph_hash(copy) == graph_hash(graph)


text = st.text(
    alphabet=st.characters(codec="utf-8") | st.sampled_from("\"'\t\r\n\\<&\x00\u2028\ufffe🙂 "),
    min_size=1,
    max_size=12,
).filter(lambda name: name.strip() != "")


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.tuples(text, text, text, text), min_size=1, max_size=4))
@pytest.mark.parametrize("format", [*LOSSLESS, *DERIVED])
def test_any_names(
    tmp_path_factory: pytest.TempPathFactory, format: Format, rows: list[tuple[str, ...]]
) -> None:
    graph = kg.open_graph("memory://")
    facts = [
        fact
        for head, phrase, tail, value in rows
        for fact in (
            Fact(named(head), phrase, named(tail)),
            Fact(named(head), phrase, Literal(value, phrase, tail)),
        )
    ]
    write_facts(graph, facts, file="x", sha256="y")
    copy = there_and_back(graph, tmp_path_factory.mktemp("x"), format)
    assert triples(copy) == triples(graph)
    assert names(copy) == names(graph)


@pytest.mark.parametrize("format", LOSSLESS)
def test_into_a_graph_that_holds_something_else(tmp_path: Path, format: Format) -> None:
    export_graph(full_graph(2), tmp_path / "x", format=format)
    both = full_graph(1)
    import_graph(both, tmp_path / "x", format=format)
    one, other = full_graph(1), full_graph(2)
    for kind in ("evidence", "mention"):
        ids = {r.id for g in (one, other) for r in g.written(kind)}  # type: ignore[call-overload]
        assert {r.id for r in both.written(kind)} == ids  # type: ignore[call-overload]


@pytest.mark.parametrize("format", LOSSLESS)
def test_a_graph_whose_runs_were_all_undone(tmp_path: Path, format: Format) -> None:
    graph = kg.open_graph("memory://")
    run = graph.begin_run(CONFIG).id
    graph.write(Batch(documents=(Document("a.txt", "text"),)), run=run)
    graph.undo(run)
    copy = there_and_back(graph, tmp_path, format)
    assert [d.uri for d in copy.written("document")] == ["a.txt"]
    assert copy.stats().runs == 0


@pytest.mark.parametrize("format", BOTH_WAYS)
def test_a_graph_that_changes_meanwhile_leaves_no_file(tmp_path: Path, format: Format) -> None:
    graph = full_graph()
    run = graph.begin_run(CONFIG).id

    def write(rows: int) -> None:
        name = f"new {graph.change_counter}"
        mention = Mention(entity_id(name), name, CONFIG.id)
        graph.write(Batch(mentions=(mention,)), run=run)

    with pytest.raises(ExchangeError, match="written to during the export"):
        export_graph(graph, tmp_path / "x", format=format, progress=write)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("format", BOTH_WAYS)
def test_a_file_that_is_missing(tmp_path: Path, format: Format) -> None:
    graph = kg.open_graph("memory://")
    with pytest.raises(ExchangeError, match="does not exist"):
        import_graph(graph, tmp_path / "none", format=format)
    assert graph.stats().runs == 0


@pytest.mark.parametrize(
    "format", [f for f in BOTH_WAYS if f not in (Format.parquet, Format.graphrag)]
)
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\x00", b'{"a": ', b"<a", b"[1]", b"a b"])
def test_a_file_of_something_else_writes_nothing(
    tmp_path: Path, format: Format, content: bytes
) -> None:
    (tmp_path / "x").write_bytes(content)
    graph = kg.open_graph("memory://")
    with pytest.raises(ExchangeError, match="x"):
        import_graph(graph, tmp_path / "x", format=format)
    assert graph.stats().runs == 0


def test_a_fact_with_an_empty_name_takes_the_import_back() -> None:
    graph = kg.open_graph("memory://")
    facts = [Fact(named("a"), "knows", named("b")), Fact(named(" "), "knows", named("b"))]
    with pytest.raises(KgError, match="empty surface"):
        write_facts(graph, facts, file="x", sha256="y")
    assert (graph.stats().runs, graph.stats().entities) == (0, 0)


def test_rows_that_can_be_read_only_once_are_refused() -> None:
    with pytest.raises(TypeError, match="twice"):
        write_facts(kg.open_graph("memory://"), iter([named("a")]), file="x", sha256="y")


def test_a_fact_states_the_derived_triple(tmp_path: Path) -> None:
    graph = full_graph()
    export_graph(graph, tmp_path / "x.jsonl", format=Format.langchain)
    copy = kg.open_graph("memory://")
    import_graph(copy, tmp_path / "x.jsonl", format=Format.langchain)
    found = explain(copy, f"{MARIE} | BORN_IN | {WARSAW}")
    assert found[0].sources[0].quote == "𝒳 Marie Curie was born in Warsaw."
