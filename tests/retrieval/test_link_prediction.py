"""Train, predict and propose on small graphs, from first link to undo."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import kg
from kg.store.protocol import GraphStore
from retrieval.errors import (
    AmbiguousEntity,
    ModelFileError,
    NothingToPredict,
    NotTrained,
    QueryShapeError,
    UnknownEntity,
    UnknownRelation,
)
from retrieval.graph_model import GraphModel
from retrieval.graph_snapshot import GraphSnapshot
from retrieval.held_out import split_links
from retrieval.link_prediction import TrainReport, predict, train
from retrieval.proposals import propose
from tests.retrieval.graphs import CITIES, FAMILIES, families, family_graph, id_of, write


@pytest.fixture(scope="module")
def graph() -> GraphStore:
    return family_graph()


@pytest.fixture(scope="module")
def report(graph: GraphStore) -> TrainReport:
    return train(graph)


@pytest.fixture(scope="module")
def model(report: TrainReport) -> GraphModel:
    return report.model


@pytest.fixture(scope="module")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "family.kg"
    store = kg.open_graph(path)
    families(store)
    train(store)
    store.close()
    return path


@pytest.fixture
def folder(trained_folder: Path, tmp_path: Path) -> Path:
    """A trained graph of one's own to change."""
    return Path(shutil.copytree(trained_folder, tmp_path / "family.kg"))


def city_of(family: str) -> str:
    return CITIES[FAMILIES.index(family) % len(CITIES)]


# ------------------------------------------------------------------------------------- training


def test_a_graph_can_be_trained_with_a_sentence_encoder(tmp_path: Path) -> None:
    store = kg.open_graph(tmp_path / "family.kg")
    families(store)
    report = train(store, encoder="minilm", epochs=4)
    assert report.mrr is not None
    assert report.popularity_mrr is not None
    assert report.mrr > report.popularity_mrr
    loaded = GraphModel.load(store.home)
    assert loaded.fingerprint == report.model.fingerprint
    assert loaded.encoder.name == "composed"
    assert loaded.encoder.dim == loaded.index.dim == 384
    relation = sorted(loaded.relations)[0]
    entity = sorted(loaded.texts)[0]
    before = predict(store, head=entity, relation=relation, k=3, types=[], model=report.model)
    after = predict(store, head=entity, relation=relation, k=3, types=[])
    assert [(link.tail.id, link.probability) for link in after] == [
        (link.tail.id, link.probability) for link in before
    ]
    with pytest.raises(QueryShapeError, match="bow, minilm"):
        train(store, encoder="gpt")  # type: ignore[arg-type]
    store.close()


def test_training_reports_held_out_figures_above_the_popularity_floor(report: TrainReport) -> None:
    assert report.triples == 86
    assert report.held_out > 50
    assert report.mrr is not None
    assert report.popularity_mrr is not None
    assert report.mrr > 1.5 * report.popularity_mrr
    assert report.choice.startswith("all words: dev MRR")
    assert report.model.calibration.tails.links == report.held_out
    assert set(report.figures()) >= {"mrr", "popularity_mrr", "model", "trained_on", "seed"}


def test_a_seed_decides_the_model(graph: GraphStore, report: TrainReport) -> None:
    again, other = train(graph), train(graph, seed=1)
    assert again.model.fingerprint == report.model.fingerprint
    assert (again.mrr, again.model.calibration) == (report.mrr, report.model.calibration)
    assert other.model.fingerprint != report.model.fingerprint


@pytest.mark.parametrize("links", [1, 2, 5, 19, 20, 21])
def test_tiny_graphs_can_be_trained(links: int) -> None:
    store = kg.open_graph("memory://")
    write(store, [((f"n{i}", "N"), f"r{i % 2}", (f"m{i % 3}", "M")) for i in range(links)])
    report = train(store, epochs=2, dim=8)
    assert report.triples == links
    assert (report.mrr is None) == (links < 20)
    found = predict(store, head="n0", relation="r0", model=report.model)
    assert all(0 <= link.probability <= 1 for link in found)


def test_a_graph_without_links_is_named() -> None:
    store = kg.open_graph("memory://")
    with pytest.raises(NothingToPredict, match="harvest"):
        train(store)
    with pytest.raises(QueryShapeError, match="bow"):
        train(store, encoder="gpt")  # type: ignore[arg-type]
    with pytest.raises(QueryShapeError, match="epochs=0"):
        train(store, epochs=0)


def test_dealing_out_never_takes_all_links_of_a_relation() -> None:
    random = np.random.default_rng(0)
    for size in (20, 57, 300, 1500):
        relations = random.integers(0, 12, size)
        relations[0] = 99  # the only one of its kind
        links = np.stack([np.arange(size), relations, np.arange(size)], axis=1)
        split = split_links(links, seed=3)
        everything = np.concatenate([split.dev, *split.folds])
        assert len(set(everything.tolist())) == len(everything)
        assert 0 not in everything
        for part in (split.dev, *split.folds):
            left = np.delete(relations, part)
            assert set(left.tolist()) == set(relations.tolist())


# -------------------------------------------------------------------------------------- predict


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_of_a_family_was_born_where_the_others_were(graph, model, family: str) -> None:
    links = predict(graph, head=f"finn {family}", relation="born in", k=3, model=model)
    best = links[0]
    assert best.tail.name == city_of(family)
    assert best.head is not None
    assert best.head.name == f"Finn {family}"
    assert [link.rank for link in links] == [1, 2, 3]
    assert links[0].probability > links[1].probability >= links[2].probability
    assert {like.tail for like in best.support} == {city_of(family)}
    assert all(like.head.endswith(family) for like in best.support)
    assert best.support[0].similarity >= best.support[-1].similarity


def test_answers_are_of_the_types_seen_and_never_known(graph, model) -> None:
    cities = {
        link.tail.name
        for link in predict(graph, head="Finn Bohr", relation="born in", k=99, model=model)
    }
    assert cities == set(CITIES)
    known = {
        link.tail.name
        for link in predict(graph, head="Ada Bohr", relation="born in", k=99, model=model)
    }
    assert known == set(CITIES) - {city_of("Bohr")}


def test_heads_are_predicted_from_a_tail(graph, model) -> None:
    links = predict(graph, tail="Vienna", relation="BORN_IN", k=2, model=model)
    assert all(link.tail.name == "Vienna" for link in links)
    expected = {f"Finn {family}" for family in FAMILIES if city_of(family) == "Vienna"}
    assert links[0].head is not None
    assert links[0].head.name in expected


def test_a_head_that_the_graph_does_not_hold_can_be_given_as_text(graph, model) -> None:
    links = predict(graph, head_text="Gwen Fermi", relation="born in", k=1, model=model)
    assert links[0].tail.name == city_of("Fermi")
    assert links[0].head is None
    assert str(links[0]).startswith("Gwen Fermi -[BORN_IN]-> ")
    assert links[0].support[0].head.endswith("Fermi")


def test_types_can_be_chosen_or_lifted(graph, model) -> None:
    some = predict(graph, head="Finn Bohr", relation="born in", types=["Country"], model=model)
    assert {link.tail.types[0] for link in some} == {"Country"}
    every = predict(graph, head="Finn Bohr", relation="born in", types=[], k=99, model=model)
    assert len(every) == len(GraphSnapshot.of(graph).entities) - 1  # all but itself
    with pytest.raises(NothingToPredict, match="types: City, Country, Person, Place"):
        predict(graph, head="Finn Bohr", relation="born in", types=["Ghost"], model=model)


@pytest.mark.parametrize(
    ("question", "error", "message"),
    [
        ({"head": "Finn Bhor"}, UnknownEntity, "did you mean 'Finn Bohr'"),
        ({"head": "Finn Bohr", "relation": "bron in"}, UnknownRelation, "did you mean 'born_in'"),
        ({"head": "Finn Bohr", "relation": "born on"}, NothingToPredict, "only values"),
        ({}, QueryShapeError, "exactly one end"),
        ({"head": "Finn Bohr", "tail": "Rome"}, QueryShapeError, "exactly one end"),
        ({"head": "Finn Bohr", "k": 0}, QueryShapeError, "k is 0"),
        ({"head_text": " "}, QueryShapeError, "must not be empty"),
        ({"head_text": "Gwen", "write_back": True}, QueryShapeError, "cannot be written back"),
    ],
)
def test_a_wrong_question_gets_a_clear_error(graph, model, question, error, message) -> None:
    with pytest.raises(error, match=message):
        predict(graph, model=model, **{"relation": "born in", **question})


def test_a_name_of_two_entities_is_refused_until_it_is_clear(model) -> None:
    store = family_graph()
    write(store, [(("Ada Bohr", "Ship"), "located in", ("Oslo", "City"))])
    with pytest.raises(AmbiguousEntity, match="Ship"):
        predict(store, head="Ada Bohr", relation="born in", model=model)
    found = predict(store, head=id_of("Ada Bohr", "Person"), relation="born in", model=model)
    assert found


def test_an_inverse_phrase_swaps_the_ends(model) -> None:
    from kg.records import Batch, RelationName

    store = family_graph()
    run = store.begin_run(next(store.written("config"))).id
    names = (
        RelationName("birthplace of", "born_in", swapped=True),
        RelationName("born in", "born_in"),
    )
    store.write(Batch(relation_names=names), run=run)
    plain = predict(store, tail="Rome", relation="born in", k=3, model=model)
    swapped = predict(store, head="Rome", relation="birthplace_of", k=3, model=model)
    assert [str(link) for link in swapped] == [str(link) for link in plain]
    with pytest.raises(QueryShapeError, match="backwards"):
        predict(store, head_text="Bern", relation="birthplace_of", model=model)


# -------------------------------------------------------------------------------------- propose


def test_proposals_are_the_missing_birthplaces(graph, model) -> None:
    links = propose(graph, 5, model=model)
    assert [link.rank for link in links] == [1, 2, 3, 4, 5]
    for link in links:
        assert link.head is not None
        first, family = link.head.name.split()
        assert (first, link.relation, link.tail.name) == ("Finn", "BORN_IN", city_of(family))
        assert len(link.support) == 3
    assert all(a.probability >= b.probability for a, b in pairwise(links))


def test_no_proposal_repeats_what_is_there(graph, model) -> None:
    snapshot = GraphSnapshot.of(graph)
    joined = {frozenset((triple.head, triple.tail)) for triple in snapshot.triples}
    taken = set(snapshot.ends("BORN_IN", "head"))
    links = propose(graph, 60, model=model)
    ends: set[tuple[str, str, str]] = set()
    for link in links:
        assert link.head is not None
        assert link.head.id != link.tail.id
        assert frozenset((link.head.id, link.tail.id)) not in joined
        if link.relation == "BORN_IN":  # everybody is born in one place
            assert link.head.id not in taken
        mine = {(link.relation, "head", link.head.id), (link.relation, "tail", link.tail.id)}
        assert not ends & mine
        ends |= mine
    with pytest.raises(QueryShapeError, match="k is 0"):
        propose(graph, 0, model=model)
    with pytest.raises(NothingToPredict):
        propose(kg.open_graph("memory://"), model=model)


# ----------------------------------------------------------------------- writing back and files


def test_predictions_are_written_apart_and_undone(model) -> None:
    store = family_graph()
    before, triples = kg.graph_hash(store), store.stats().triples
    links = predict(store, head="Finn Curie", relation="born in", k=3, write_back=True, model=model)
    run = links[0].run
    written = list(store.written("prediction", run=run))
    assert {(p.head, p.relation, p.tail) for p in written} == {
        (id_of("Finn Curie", "Person"), "BORN_IN", link.tail.id) for link in links
    }
    assert {p.rank for p in written} == {1, 2, 3}
    assert {(p.weights, p.trained_on) for p in written} == {(model.fingerprint, model.trained_on)}
    assert {p.score for p in written} == {link.probability for link in links}
    assert store.stats().triples == triples
    # A prediction is no fact: it is asked again, and it hides no answer.
    again = predict(store, head="Finn Curie", relation="born in", k=3, model=model)
    assert [str(link) for link in again] == [str(link) for link in links]
    assert len(GraphSnapshot.of(store).triples) == 86
    assert store.undo(run).predictions == 3
    assert store.stats().predictions == 0
    assert kg.graph_hash(store) == before


def test_training_does_not_see_predictions(model, report: TrainReport) -> None:
    store = family_graph()
    propose(store, 5, write_back=True, model=model)
    assert store.stats().predictions == 5
    assert train(store).model.fingerprint == report.model.fingerprint


def test_another_process_answers_from_the_files(folder: Path, report: TrainReport) -> None:
    with_files = kg.open_graph(folder)
    links = predict(with_files, head="Finn Hahn", relation="born in", k=4)
    in_memory = predict(with_files, head="Finn Hahn", relation="born in", k=4, model=report.model)
    assert [str(link) for link in links] == [str(link) for link in in_memory]
    figures = json.loads((folder / "models/link-prediction/current.json").read_text())["figures"]
    assert figures["mrr"] == report.mrr


def test_a_graph_that_was_never_trained_says_how(tmp_path: Path) -> None:
    store = kg.open_graph(tmp_path / "new.kg")
    families(store)
    with pytest.raises(NotTrained, match=r"sheaf train .*new\.kg"):
        predict(store, head="Ada Bohr", relation="born in")
    with pytest.raises(NotTrained, match=r"model=report\.model"):
        predict(family_graph(), head="Ada Bohr", relation="born in")


def test_new_and_changed_entities_answer_without_training(folder: Path) -> None:
    store = kg.open_graph(folder)
    fingerprint = GraphModel.load(store.home).fingerprint
    run = write(store, [(("Gwen Fermi", "Person"), "sibling", ("Ada Fermi", "Person"))])
    found = predict(store, head="Gwen Fermi", relation="born in", k=1)
    assert found[0].tail.name == city_of("Fermi")
    model = GraphModel.load(store.home)
    assert model.fingerprint == fingerprint
    assert id_of("Gwen Fermi", "Person") in model.index
    # Alone or in the batch of all entities: the same vector.
    alone = model.encoder.encode(["Gwen Fermi; Person"])[0]
    np.testing.assert_allclose(model.vectors([id_of("Gwen Fermi", "Person")])[0], alone, atol=1e-6)
    store.undo(run)
    predict(store, tail="Rome", relation="born in", k=1)
    assert id_of("Gwen Fermi", "Person") not in GraphModel.load(store.home).index


def test_refresh_counts_what_it_changed(folder: Path) -> None:
    store = kg.open_graph(folder)
    model = GraphModel.load(store.home)
    assert not model.refresh(GraphSnapshot.of(store))
    snapshot = GraphSnapshot.of(store)
    ids = list(snapshot.entities)
    changed = replace(snapshot.entities[ids[0]], description="something else")
    entities = {ids[0]: changed, **{id: snapshot.entities[id] for id in ids[2:]}}
    done = model.refresh(replace(snapshot, entities=entities))
    assert (done.added, done.changed, done.removed) == (0, 1, 1)
    assert (lambda d: (d.added, d.changed, d.removed))(model.refresh(snapshot)) == (1, 1, 0)


def test_a_relation_newer_than_the_model_asks_for_training(folder: Path) -> None:
    store = kg.open_graph(folder)
    write(store, [(("Ada Bohr", "Person"), "member of", ("Academy", "Group"))])
    with pytest.raises(NotTrained, match="train again"):
        predict(store, head="Ben Bohr", relation="member of")
    assert propose(store, 3)  # the relations it knows are still proposed


@pytest.mark.parametrize("name", ["entities", "entities.json"])
@pytest.mark.parametrize("damage", [None, b"", b"{}", b"\x00\x01"])
def test_a_damaged_index_is_built_again(folder: Path, name: str, damage: bytes | None) -> None:
    store = kg.open_graph(folder)
    before = predict(store, head="Finn Hahn", relation="born in", k=4)
    path = folder / "index" / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    after = predict(store, head="Finn Hahn", relation="born in", k=4)
    assert [str(link) for link in after] == [str(link) for link in before]
    assert len(GraphModel.load(store.home).index) == len(GraphSnapshot.of(store).entities)


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"format": 99}', b"[1]", b"null"])
def test_a_damaged_model_is_named_with_the_way_out(folder: Path, damage: bytes) -> None:
    store = kg.open_graph(folder)
    (folder / "models/link-prediction/current.json").write_bytes(damage)
    with pytest.raises(ModelFileError, match="sheaf train"):
        predict(store, head="Finn Hahn", relation="born in")


def test_training_again_replaces_the_files(folder: Path) -> None:
    store = kg.open_graph(folder)
    train(store, seed=5, epochs=1)
    folders = [path for path in (folder / "models/link-prediction").iterdir() if path.is_dir()]
    assert [path.name for path in folders] == [GraphModel.load(store.home).fingerprint]


def test_an_index_that_cannot_be_stored_does_not_keep_the_answer_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = kg.open_graph(folder)
    write(store, [(("Gwen Fermi", "Person"), "sibling", ("Ada Fermi", "Person"))])

    def refuse(self: GraphModel, home: Path) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(GraphModel, "save_index", refuse)
    assert predict(store, head="Gwen Fermi", relation="born in", k=1)
    assert "was not stored" in caplog.text


@pytest.mark.neo4j
def test_on_neo4j_it_is_the_same(
    neo4j_graph: str, report: TrainReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))  # where the model of a server's graph goes
    store = kg.open_graph(neo4j_graph)
    families(store)
    trained = train(store)
    assert trained.model.fingerprint == report.model.fingerprint
    assert store.home is not None
    assert tmp_path in store.home.parents
    links = predict(store, head="Finn Hahn", relation="born in", k=2, write_back=True)
    assert links[0].tail.name == city_of("Hahn")
    assert store.stats().predictions == 2
    assert [
        link.tail.name for link in predict(store, head="Finn Hahn", relation="born in", k=2)
    ] == [link.tail.name for link in links]
    assert store.undo(links[0].run).predictions == 2
    store.close()
