"""PyKEEN's evaluator and ours agree on trained models of every kind, and the benchmark says so."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from pykeen import models

from benchmarks import ranking
from benchmarks.ranking import MODELS, Graph, head_of, ours, theirs


def ring(entities: int = 40) -> Graph:
    """Return a graph that can be learnt: relation k leads k + 1 places on, some links held out."""
    links = [
        (entity, step, (entity + step + 1) % entities)
        for entity in range(entities)
        for step in range(4)
    ]
    links += [(entity, 3, entity) for entity in range(0, entities, 5)]  # and self-loops
    triples = np.random.default_rng(0).permutation(np.array(links, np.int64))
    return Graph(triples[40:], triples[:20], triples[20:40], entities=entities, relations=4)


def trained(name: str, graph: Graph):
    """Return a model of PyKEEN that tells the links of training from links to other tails."""
    kind, options, own = MODELS[name]
    factory = graph.factory(graph.train)
    model = getattr(models, kind)(triples_factory=factory, random_seed=0, **options(16))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    true = torch.from_numpy(graph.train)
    random = torch.Generator().manual_seed(0)
    for _ in range(60):
        wrong = true.clone()
        wrong[:, 2] = torch.randint(graph.entities, (len(true),), generator=random)
        optimiser.zero_grad()
        difference = model.score_hrt(wrong) - model.score_hrt(true)
        torch.nn.functional.softplus(difference).mean().backward()
        optimiser.step()
        model.post_parameter_update()
    return model.eval(), *head_of(model, own)


@pytest.mark.parametrize("name", list(MODELS))
def test_our_mrr_of_a_trained_model_is_that_of_pykeen_to_five_digits(name) -> None:
    graph = ring()
    model, head, entities = trained(name, graph)
    # PyKEEN takes the Euclidean norm of RotatE's coordinates, where the paper's code adds moduli.
    kernel = "l2" if name == "rotate" else None
    for triples in (graph.train, graph.test):
        found = ours(graph, head, entities, triples, kernel=kernel).mrr()
        assert found == pytest.approx(theirs(graph, model, triples), abs=5e-6)
    assert ours(graph, head, entities, graph.train).mrr() > 0.22  # it learnt; chance is 0.11


def test_scores_of_a_converted_model_are_those_of_pykeen() -> None:
    graph = ring()
    for name, (kind, options, own) in MODELS.items():
        if name == "rotate":  # scored by another norm
            continue
        model = getattr(models, kind)(
            triples_factory=graph.factory(graph.train), random_seed=1, **options(16)
        ).eval()
        head, entities = head_of(model, own)
        triples = torch.from_numpy(graph.test)
        with torch.inference_mode():
            expected = model.score_hrt(triples)[:, 0]
            found = head.score(entities[triples[:, 0]], triples[:, 1], entities[triples[:, 2]])
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_folder_is_read_without_entities_that_training_lacks(tmp_path) -> None:
    (tmp_path / "train.tsv").write_text("a\tr\tc\nc\ts\td\n")
    (tmp_path / "dev.tsv").write_text("a\tr\tb\nd\ts\ta\n")
    (tmp_path / "test.tsv").write_text("b\tr\ta\nc\tr\td\n")
    (tmp_path / "entity2text.txt").write_text("a\tA\nb\tB\nc\tC\nd\tD\n")
    graph = Graph.read(tmp_path)
    assert (graph.entities, graph.relations) == (3, 2)  # b is new
    assert graph.train.tolist() == [[0, 0, 1], [1, 1, 2]]
    assert graph.dev.tolist() == [[2, 1, 0]]
    assert graph.test.tolist() == [[1, 0, 2]]


def test_the_benchmark_prints_a_ratio_for_every_model(monkeypatch, capsys) -> None:
    monkeypatch.setattr(ranking, "TURN", 0.0)
    threads = torch.get_num_threads()
    small = Graph.random(entities=60, relations=3, triples=300)
    monkeypatch.setattr(Graph, "random", lambda **_: small)
    words = ["ranking", "--triples", "6", "--pykeen-triples", "4", "--repeats", "1", "--dim", "8"]
    try:
        monkeypatch.setattr(sys, "argv", [*words, "--json"])
        ranking.main()
        answer = json.loads(capsys.readouterr().out.splitlines()[-1])
        monkeypatch.setattr(sys, "argv", words)
        ranking.main()
    finally:
        torch.set_num_threads(threads)
    assert set(answer["ratio"]) == {"distmult", "complex", "transe_l2", "transe_l1", "rotate"}
    for part in answer["parts"].values():
        assert part["ratio"] > 0
        assert part["mrr_difference"] == pytest.approx(0, abs=5e-6)
    assert (answer["entities"], answer["ties"], answer["threads"]) == (60, "exact", 1)
    assert "transe_l1" in capsys.readouterr().out
