"""Sentences of a graph in front of a passage: what is shown, what never is, and replaying."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import kg
from harvest import commands
from harvest.errors import BudgetReached, InputError
from harvest.job import harvest_documents
from harvest.llm.budget import Budget
from harvest.llm.completion import Completion
from harvest.llm.demonstrations import Demonstrations
from harvest.llm.harvester import LLMHarvester
from harvest.llm.prompt import PARAMETER
from harvest.llm.rows import read_rows
from harvest.report import Report
from harvest.responses import ResponseCache
from kg.records import Document
from kg.schema import Schema
from tests.harvest.llm.asking import documents, harvester, model
from tests.harvest.llm.server import KEY, SCHEMA, Server, passage_of, statements

EARLIER = [
    "Lise Meitner was born in Vienna. Niels Bohr works for Carlsberg.",
    "Max Born was born on 11 December 1882. Ada Byron married Max Born.",
    "Otto Hahn was perhaps born in Frankfurt. Enrico Fermi never was born in Paris.",
]
TEXTS = ["Marie Curie was born in Warsaw.", "Emmy Noether works for Bryn Mawr."]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture(params=["memory", "embedded"])
def graph(
    request: pytest.FixtureRequest, tmp_path: Path, server: Server
) -> Iterator[kg.GraphStore]:
    """A graph that holds what an earlier harvest without demonstrations found."""
    store = kg.open_graph("memory://" if request.param == "memory" else tmp_path / "my.kg")
    earlier = [Document(uri=f"earlier-{at}.txt", text=text) for at, text in enumerate(EARLIER)]
    with harvester(server) as made:
        harvest_documents(store, earlier, harvester=made)
    server.requests.clear()
    yield store
    store.close()


def shown(store: kg.GraphStore, server: Server, k: int = 2, **options: Any) -> LLMHarvester:
    return LLMHarvester(
        model(server, **options),
        SCHEMA,
        demonstrations=Demonstrations.of(store, SCHEMA, k=k),
        chunk_tokens=20,
    )


def harvest(
    store: kg.GraphStore, server: Server, texts: list[str] = TEXTS, **options: Any
) -> Report:
    with shown(store, server, **options) as made:
        return harvest_documents(store, documents(texts), harvester=made)


# ------------------------------------------------------------------------------ what is shown


def test_the_nearest_sentence_is_shown_last_and_answered_as_the_model_shall_answer(
    graph: kg.GraphStore, server: Server
) -> None:
    harvest(graph, server, TEXTS[:1])
    (request,) = server.requests
    roles = [message["role"] for message in request["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert passage_of(request) == TEXTS[0]
    question, answer = request["messages"][3:5]
    assert question["content"] == "Passage:\nLise Meitner was born in Vienna"
    rows = read_rows(Completion(answer["content"]))
    assert not rows.dropped and not rows.repaired
    assert json.loads(answer["content"])["statements"] == statements(question["content"][9:])


def test_a_date_is_shown_as_it_is_written(graph: kg.GraphStore) -> None:
    made = Demonstrations.of(graph, SCHEMA, k=9)
    answers = [turn["content"] for turn in made.turns("Ada was born on 1 May 1815.")]
    (row,) = (json.loads(text)["statements"][0] for text in answers if '"born_on"' in text)
    assert (row["head"], row["tail"]) == ("Max Born", "11 December 1882")
    assert (row["head_type"], row["tail_type"]) == ("Person", "date")


def test_what_is_denied_or_doubted_is_not_shown(graph: kg.GraphStore) -> None:
    found = {sentence.text for sentence in Demonstrations.of(graph, SCHEMA, k=9).pool.sentences}
    assert len(found) == 4 and not any("Hahn" in text or "Fermi" in text for text in found)


def test_a_passage_is_never_shown_its_own_sentences(graph: kg.GraphStore, server: Server) -> None:
    harvest(graph, server, [f"We know it: {EARLIER[0]} And so on."], k=9)
    for request in server.requests:
        passage = passage_of(request)
        examples = [m["content"] for m in request["messages"][1:-1] if m["role"] == "user"]
        assert examples
        assert not any(text.removeprefix("Passage:\n") in passage for text in examples)


def test_only_relations_of_the_schema_are_shown(graph: kg.GraphStore) -> None:
    schema = Schema.parse(
        "types: {Person: {}, Firm: {}}\n"
        "relations: {employer_of: {head: Firm, tail: Person, inverse: works_for}}"
    )
    made = Demonstrations.of(graph, schema, k=9)
    (question, answer) = made.turns("Somebody works for Siemens.")
    assert question["content"] == "Passage:\nNiels Bohr works for Carlsberg"
    (row,) = json.loads(answer["content"])["statements"]
    # The schema names the relation from the other end, and has other types.
    assert (row["head"], row["relation"], row["tail"]) == ("Carlsberg", "employer_of", "Niels Bohr")
    assert (row["head_type"], row["tail_type"]) == ("Firm", "Person")


def test_a_passage_without_a_word_is_shown_nothing(graph: kg.GraphStore) -> None:
    assert Demonstrations.of(graph, SCHEMA, k=2).turns(" — ") == []


def test_a_graph_that_has_nothing_to_show_is_refused(graph: kg.GraphStore) -> None:
    with pytest.raises(InputError, match=r"holds no sentence .* --demos-from"):
        Demonstrations.of(kg.open_graph("memory://"), SCHEMA, k=2)
    with pytest.raises(InputError, match="0 demonstrations"):
        Demonstrations.of(graph, SCHEMA, k=0)


# -------------------------------------------------------------------- config and replaying


def test_the_config_changes_with_everything_that_is_shown(
    graph: kg.GraphStore, server: Server
) -> None:
    def config(**options: Any) -> kg.records.Config:
        with shown(graph, server, **options) as made:
            return made.config

    with harvester(server, chunk_tokens=20) as plain:
        assert PARAMETER not in plain.config.parameters
    one = config()
    assert one == config() and one.parameters[PARAMETER] == 2
    assert one.prompt != plain.config.prompt and config(k=3).id != one.id
    graph.delete_document("earlier-1.txt")
    assert config().id != one.id


def test_a_harvest_with_demonstrations_teaches_itself_nothing(
    graph: kg.GraphStore, server: Server
) -> None:
    before = Demonstrations.of(graph, SCHEMA, k=2).hash
    report = harvest(graph, server)
    assert report.evidence == 2
    assert Demonstrations.of(graph, SCHEMA, k=2).hash == before


def test_a_second_harvest_asks_and_writes_nothing(graph: kg.GraphStore, server: Server) -> None:
    cache = ResponseCache(None)
    harvest(graph, server, cache=cache)
    before, asked = kg.graph_hash(graph), len(server.requests)
    report = harvest(graph, server, cache=cache)
    assert len(server.requests) == asked == 2
    assert report.unchanged == 2 and kg.graph_hash(graph) == before


def test_a_harvest_that_is_stopped_goes_on_with_the_same_questions(
    graph: kg.GraphStore, server: Server
) -> None:
    texts = [f"Person{chr(65 + at)} was born in Town{chr(65 + at)}." for at in range(6)]
    cache = ResponseCache(None)
    stops = 0
    for _ in range(20):
        try:
            harvest(graph, server, texts, cache=cache, budget=Budget(tokens=3000), max_tokens=200)
        except BudgetReached:
            stops += 1
        else:
            break
    asked = [json.dumps(request["messages"]) for request in server.requests]
    assert stops > 0 and len(asked) == len(set(asked)) == 6
    with Server() as other:  # at one go, what is written is the same
        whole = kg.open_graph("memory://")
        earlier = [Document(uri=f"earlier-{at}.txt", text=text) for at, text in enumerate(EARLIER)]
        with harvester(other) as made:
            harvest_documents(whole, earlier, harvester=made)
        harvest(whole, other, texts, max_tokens=200)
    assert kg.graph_hash(whole) == kg.graph_hash(graph)


def test_undo_and_harvest_again_asks_nothing(graph: kg.GraphStore, server: Server) -> None:
    cache = ResponseCache(None)
    report = harvest(graph, server, cache=cache)
    graph.undo(report.run)
    harvest(graph, server, cache=cache)
    assert len(server.requests) == 2


# ------------------------------------------------------------------------------- commands

YAML = """
types: {Person: {}, Place: {}, City: {parent: Place}}
relations:
  born_in: {head: Person, tail: Place}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_BASE_URL", "SHEAF_MODEL", "SHEAF_BUDGET", "SHEAF_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (tmp_path / "schema.yaml").write_text(YAML)
    for name, texts in (("old", EARLIER), ("new", TEXTS)):
        (tmp_path / name).mkdir()
        for at, text in enumerate(texts):
            (tmp_path / name / f"{name}{at}.txt").write_text(text)
    return tmp_path


def run(server: Server, graph: str, folder: str, *options: str) -> Result:
    fixed = ["harvest", graph, folder, "--with", "llm", "--schema", "schema.yaml", "--model", "m"]
    return CliRunner().invoke(commands.app, [*fixed, "--base-url", server.url, *options])


def test_the_same_graph_shows_its_earlier_evidence(place: Path, server: Server) -> None:
    assert run(server, "my.kg", "old").exit_code == 0
    server.requests.clear()
    done = run(server, "my.kg", "new", "--demos", "1", "--json")
    assert done.exit_code == 0, done.output
    assert [len(request["messages"]) for request in server.requests] == [4, 4]
    with closing(kg.open_graph("my.kg")) as store:
        assert any(config.parameters.get(PARAMETER) == 1 for config in store.written("config"))
    assert run(server, "my.kg", "new", "--demos", "1").exit_code == 0
    assert len(server.requests) == 2


def test_another_graph_lends_its_evidence(place: Path, server: Server) -> None:
    assert run(server, "old.kg", "old").exit_code == 0
    server.requests.clear()
    options = ("--demos", "2", "--demos-from", "old.kg", "--demos-retriever", "tfidf")
    dry = run(server, "new.kg", "new", *options, "--dry-run", "--json")
    assert dry.exit_code == 0 and not Path("new.kg").exists()
    done = run(server, "new.kg", "new", *options)
    assert done.exit_code == 0, done.output
    assert "Lise Meitner was born in Vienna" in json.dumps(server.requests[0]["messages"])
    with closing(kg.open_graph("old.kg")) as store:
        assert store.stats().documents == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--demos", "2"), "nothing to show"),
        (("--demos", "2", "--dry-run"), "the graph is not there yet"),
        (("--demos-from", "old.kg"), "--demos-from is for --demos N"),
        (("--demos-retriever", "bm25"), "--demos-retriever is for --demos N"),
        (("--demos", "2", "--demos-from", "none.kg"), "none.kg"),
    ],
)
def test_what_cannot_be_shown_is_said(
    place: Path, server: Server, options: tuple[str, ...], says: str
) -> None:
    done = run(server, "my.kg", "new", *options)
    assert done.exit_code == 2 and says in done.stderr and not server.requests


def test_the_text_extractor_takes_no_demonstrations(place: Path) -> None:
    done = CliRunner().invoke(commands.app, ["harvest", "my.kg", "new", "--demos", "2"])
    assert done.exit_code == 2 and "--demos is for --with llm" in done.stderr
