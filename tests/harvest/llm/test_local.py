"""A harvest with a model on this machine: no endpoint, no answer outside the schema."""

from __future__ import annotations

import json
import math
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import kg
from harvest import commands
from harvest.errors import InputError
from harvest.job import Harvester, harvest_documents
from harvest.llm.constrained import TEMPLATE, written
from harvest.llm.demonstrations import Demonstrations
from harvest.llm.local import LocalHarvester
from harvest.llm.prompt import PARAMETER
from kg.records import Document
from kg.schema import Schema
from retrieval.causal_lm import CausalLM
from tests.harvest.llm.asking import harvester
from tests.harvest.llm.copying_lm import random_lm
from tests.harvest.llm.server import Server
from tests.retrieval.demonstrations.toy_lm import naive_mean_log_prob

#: Any words may be the ends, so that what a random model says is written.
SCHEMA = Schema.parse("types: {Thing: {}}\nrelations: {place_of_birth: {}, met: {}}")
TEXT = "Marie Curie was born in Warsaw.\n\nAda Byron met Max Born. They left."
DOCUMENT = Document(uri="a.txt", text=TEXT)


def test_it_is_a_harvester_whose_evidence_stands_in_the_text() -> None:
    made: Harvester = LocalHarvester(random_lm(), SCHEMA, most=2)
    graph = kg.open_graph("memory://")
    report = harvest_documents(graph, [DOCUMENT], harvester=made)
    found = list(graph.written("evidence"))
    assert report.failures == () and report.sentences == 3 and found
    for evidence in found:
        assert evidence.span and TEXT[slice(*evidence.span)] == evidence.quote
        assert evidence.relation in SCHEMA.relations and 0 < evidence.score <= 0.95
        assert not evidence.negated and not evidence.hedged
    (config,) = graph.written("config")
    assert (config.harvester, config.weights) == ("local", random_lm().fingerprint)


def test_a_score_is_the_models_own_probability_of_the_triple() -> None:
    lm = random_lm(3)
    made = LocalHarvester(lm, SCHEMA, most=2)
    for row, score in made._statements(["Marie Curie was born in Warsaw."]):
        prompt = lm.ids(TEMPLATE.question(row.quote))
        triple = row.head, row.relation.replace("_", " "), row.tail
        wanted = math.exp(naive_mean_log_prob(lm, prompt, lm.ids(written([triple]))))
        assert score == pytest.approx(min(0.95, wanted), abs=1e-5)


def test_a_threshold_leaves_out_what_the_model_does_not_believe() -> None:
    graph = kg.open_graph("memory://")
    made = LocalHarvester(random_lm(), SCHEMA, threshold=0.96)
    report = harvest_documents(graph, [DOCUMENT], harvester=made)
    assert not list(graph.written("evidence"))
    assert report.harvester["dropped_score"] == report.harvester["statements"] > 0
    with pytest.raises(InputError, match="threshold 2"):
        LocalHarvester(random_lm(), SCHEMA, threshold=2)


def test_a_second_harvest_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = kg.open_graph("memory://")
    harvest_documents(graph, [DOCUMENT], harvester=LocalHarvester(random_lm(), SCHEMA))
    before = kg.graph_hash(graph)
    again = LocalHarvester(random_lm(), SCHEMA)
    monkeypatch.setattr(again, "extract", None)
    report = harvest_documents(graph, [DOCUMENT], harvester=again)
    assert report.unchanged == 1 and kg.graph_hash(graph) == before


def test_the_config_changes_with_model_schema_and_demonstrations() -> None:
    graph = kg.open_graph("memory://")
    with Server() as server, harvester(server) as made:
        text = "Lise Meitner was born in Vienna. Niels Bohr works for Carlsberg."
        harvest_documents(graph, [Document(uri="e.txt", text=text)], harvester=made)
    schema = Schema.parse("types: {Person: {}, Place: {}}\nrelations: {born_in: {head: Person}}")
    shown = Demonstrations.of(graph, schema, k=1)
    ids = {
        LocalHarvester(random_lm(), SCHEMA).config.id,
        LocalHarvester(random_lm(1), SCHEMA).config.id,
        LocalHarvester(random_lm(), schema).config.id,
        LocalHarvester(random_lm(), schema, demonstrations=shown).config.id,
        LocalHarvester(random_lm(), schema, most=1).config.id,
    }
    assert len(ids) == 5
    made_locally = LocalHarvester(random_lm(), schema, demonstrations=shown)
    assert made_locally.config.parameters[PARAMETER] == 1
    (demo,) = made_locally._shown("Marie Curie was born in Warsaw.")
    assert demo.input == "Lise Meitner was born in Vienna"
    assert demo.output == " Lise Meitner | born in | Vienna"


# ------------------------------------------------------------------------------- commands


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CausalLM, "load", classmethod(lambda cls, model=None: random_lm()))
    (tmp_path / "schema.yaml").write_text("relations: {place_of_birth: {}, met: {}}")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text(TEXT)
    return tmp_path


def run(*options: str) -> Result:
    fixed = ["harvest", "my.kg", "docs", "--schema", "schema.yaml"]
    return CliRunner().invoke(commands.app, [*fixed, *options])


def test_the_command_needs_no_endpoint(place: Path) -> None:
    dry = run("--with", "local", "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    assert json.loads(dry.stdout)["estimate"]["sentences"] == 3 and not Path("my.kg").exists()
    done = run("--with", "local")
    assert done.exit_code == 0, done.output
    with closing(kg.open_graph("my.kg")) as graph:
        assert graph.stats().evidence > 0
        (config,) = graph.written("config")
        assert config.model == "SmolLM2-135M-Instruct"


@pytest.mark.parametrize(
    "option",
    [("--budget", "1usd"), ("--base-url", "http://x/v1"), ("--include-hedged",), ("--spacy", "x")],
)
def test_options_of_other_readers_are_refused(place: Path, option: tuple[str, ...]) -> None:
    done = run("--with", "local", *option)
    assert done.exit_code == 2 and "another reader than --with local" in done.stderr
