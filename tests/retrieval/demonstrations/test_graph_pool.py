"""Demonstrations from a graph: which sentences, with what provenance, and never the asked one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import kg
import retrieval
import sheaf
from kg.ids import entity_id
from kg.records import Batch, Chunk, Config, Document, Evidence, Literal, Mention, Prediction
from kg.store.protocol import GraphStore
from retrieval.demonstrations.graph_pool import GraphPool, encoder_name
from retrieval.demonstrations.source_sentences import source_sentences
from retrieval.errors import ModelFileError, QueryShapeError, UnknownRelation
from tests.kg import sample_graph
from tests.retrieval.demonstrations.toy_encoder import toy_encoder

CONFIG = Config(harvester="by-hand", parameters={"types": {"Person": "", "Place": ""}})
OTHER = Config(harvester="by-hand", version="2", parameters=CONFIG.parameters)


def say(
    graph: GraphStore,
    uri: str,
    text: str,
    *facts: tuple[str, str, str],
    quote: str | None = None,
    config: Config = CONFIG,
    negated: bool = False,
    hedged: bool = False,
) -> str:
    """Write a document of one chunk that states facts in one quote; return the run."""
    run = graph.begin_run(config).id
    document = Document(uri=uri, text=text)
    chunk = Chunk(document.id, 0, len(text))
    start = text.index(quote or text)
    end = start + len(quote or text)
    mentions, evidence = [], []

    def span(name: str) -> tuple[int, int] | None:
        at = text.find(name, start, end)
        return (at, at + len(name)) if at >= 0 else None

    for head, relation, tail in facts:
        ends: list[str | Literal] = []
        for name, type in ((head, "Person"), (tail, "Place")):
            if name[0].isdigit():
                ends.append(Literal(name, "xsd:date"))
                continue
            id = entity_id(name, type)
            ends.append(id)
            place = span(name)
            mentions.append(
                Mention(id, name, config.id, type=type, chunk=chunk.id, span=place)
                if place
                else Mention(id, name, config.id, type=type)
            )
        assert isinstance(ends[0], str)
        evidence.append(
            Evidence(
                ends[0],
                relation,
                ends[1],
                0.9,
                config.id,
                chunk=chunk.id,
                span=(start, end),
                head_span=span(head),
                tail_span=span(tail),
                quote=text[start:end],
                negated=negated,
                hedged=hedged,
            )
        )
    graph.write(
        Batch(
            documents=(document,),
            chunks=(chunk,),
            mentions=tuple({one.id: one for one in mentions}.values()),
            evidence=tuple(evidence),
        ),
        run=run,
    )
    return run


BIRTHS = {
    "curie.txt": ("Marie Curie was born in Warsaw.", ("Marie Curie", "born_in", "Warsaw")),
    "fermi.txt": ("Enrico Fermi was born in Rome.", ("Enrico Fermi", "born_in", "Rome")),
    "hahn.txt": ("Otto Hahn died in Göttingen 𝒳.", ("Otto Hahn", "died_in", "Göttingen")),
}


def fill(graph: GraphStore) -> GraphStore:
    for uri, (text, fact) in BIRTHS.items():
        say(graph, uri, text, fact)
    return graph


@pytest.fixture
def graph() -> GraphStore:
    return fill(kg.open_graph("memory://"))


def outputs(graph: GraphStore) -> dict[str, str]:
    return {one.text: one.demo().output for one in source_sentences(graph)}


# -------------------------------------------------------------------- every store, one pool


def _seen(graph: GraphStore) -> list[object]:
    sample_graph.fill(graph)
    fill(graph)
    pool = GraphPool(graph)
    hits = pool.retrieve("Lise Meitner was born in Vienna.", k=5)
    births = pool.retrieve("Lise Meitner was born in Vienna.", k=5, relation="born in")
    answer: list[object] = [pool.sentences, hits, births, pool.fingerprint]
    graph.close()
    return answer


def test_embedded_is_as_in_memory(tmp_path: Path) -> None:
    assert _seen(kg.open_graph(tmp_path / "x.kg")) == _seen(kg.open_graph("memory://"))


@pytest.mark.neo4j
def test_neo4j_is_as_in_memory(neo4j_graph: str) -> None:
    assert _seen(kg.open_graph(neo4j_graph)) == _seen(kg.open_graph("memory://"))


@pytest.fixture(params=["memory", "embedded"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GraphStore]:
    graph = kg.open_graph("memory://" if request.param == "memory" else tmp_path / "x.kg")
    yield fill(graph)
    graph.close()


# ---------------------------------------------------------------------- what a sentence says


def test_a_demonstration_carries_where_it_comes_from(store: GraphStore) -> None:
    (hit,) = GraphPool(store).retrieve("Enrico Meitner was born in Vienna.", k=1)
    document = next(store.written("document", uri=hit.provenance["source"]))
    place = slice(int(hit.provenance["start"]), int(hit.provenance["end"]))
    assert document.text[place] == hit.input
    assert document.id == hit.provenance["document"]
    chunk = next(store.written("chunk", id=hit.provenance["chunk"]))
    assert chunk.document == document.id
    triple = store.get(hit.provenance["triples"])
    assert isinstance(triple, kg.records.Triple) and triple.predicate == "born_in"
    assert hit.output == "Enrico Fermi | born_in | Rome"
    assert (hit.rank, hit.task) == (1, "graph") and hit.score > 0


def test_a_sentence_lists_all_its_statements_in_their_order(graph: GraphStore) -> None:
    text = "Max Born was born in Breslau and died in Göttingen."
    facts = ("Max Born", "died_in", "Göttingen"), ("Max Born", "born_in", "Breslau")
    say(graph, "born.txt", text, *facts)
    said = outputs(graph)[text].split("; ")
    assert sorted(said) == ["Max Born | born_in | Breslau", "Max Born | died_in | Göttingen"]
    (sentence,) = (one for one in source_sentences(graph) if one.text == text)
    assert sentence.only("BORN_IN").demo().output == "Max Born | born_in | Breslau"


def test_the_ends_turn_with_the_relation_map_and_literals_are_as_written() -> None:
    graph = kg.open_graph("memory://")
    sample_graph.fill(graph)
    found = outputs(graph)
    employed = "The University of Paris employed Marie Curie."
    assert found[employed] == "Marie Curie | employer | University of Paris"


def test_line_breaks_of_a_source_do_not_reach_the_prompt(graph: GraphStore) -> None:
    text = "Max Born\r\nwas born\tin  Breslau."
    say(graph, "lines.txt", text, ("Max Born", "born_in", "Breslau"))
    (sentence,) = (one for one in source_sentences(graph) if one.text == text)
    assert sentence.demo().input == "Max Born was born in Breslau."


def test_a_date_is_given_as_the_sentence_writes_it(graph: GraphStore) -> None:
    text = "Max Born was born on 11 December 1882."
    say(graph, "date.txt", text, ("Max Born", "born_on", "11 December 1882"))
    assert outputs(graph)[text] == "Max Born | born_on | 11 December 1882"
    (sentence,) = (one for one in source_sentences(graph) if one.text == text)
    assert sentence.statements[0].tail_types == ("xsd:date",)


# ------------------------------------------------------------------------------- left out


def test_a_sentence_that_only_points_is_left_out(graph: GraphStore) -> None:
    """ "She was born on …": the name is not there to be copied."""
    sample = kg.open_graph("memory://")
    sample_graph.fill(sample)
    assert not any(text.startswith("She") for text in outputs(sample))
    text = "Max Born moved. He was born in Breslau."
    say(graph, "he.txt", text, ("Max Born", "born_in", "Breslau"), quote="He was born in Breslau.")
    assert len(outputs(graph)) == 3


@pytest.mark.parametrize("flag", ["negated", "hedged"])
def test_negated_and_hedged_evidence_is_left_out(graph: GraphStore, flag: str) -> None:
    text = "Max Born was perhaps not born in Breslau."
    say(graph, "flag.txt", text, ("Max Born", "born_in", "Breslau"), **{flag: True})  # type: ignore[arg-type]
    assert text not in outputs(graph)


def test_a_hedged_statement_takes_its_whole_sentence_with_it(graph: GraphStore) -> None:
    """What remained would teach to overlook one."""
    text = "Max Born was born in Breslau and perhaps died in Göttingen."
    say(graph, "both.txt", text, ("Max Born", "born_in", "Breslau"))
    say(graph, "both.txt", text, ("Max Born", "died_in", "Göttingen"), hedged=True, config=OTHER)
    assert text not in outputs(graph)


def test_what_another_source_denies_is_left_out(graph: GraphStore) -> None:
    denied = "Marie Curie was not born in Warsaw."
    say(graph, "no.txt", denied, ("Marie Curie", "born_in", "Warsaw"), negated=True)
    assert set(outputs(graph)) == {BIRTHS["fermi.txt"][0], BIRTHS["hahn.txt"][0]}


def test_predictions_are_never_demonstrations(graph: GraphStore) -> None:
    before = outputs(graph)
    run = graph.begin_run(Config(harvester="link-prediction")).id
    fermi, warsaw = entity_id("Enrico Fermi", "Person"), entity_id("Warsaw", "Place")
    link = Prediction(fermi, "born_in", warsaw, 0.99, 1, "w", graph.change_counter, run)
    graph.write(Batch(predictions=(link,)), run=run)
    assert outputs(graph) == before


def test_the_word_of_a_model_without_a_text_is_left_out(graph: GraphStore) -> None:
    before = outputs(graph)
    run = graph.begin_run(CONFIG).id
    fermi, warsaw = entity_id("Enrico Fermi", "Person"), entity_id("Warsaw", "Place")
    graph.write(Batch(evidence=(Evidence(fermi, "visited", warsaw, 0.9, CONFIG.id),)), run=run)
    assert outputs(graph) == before


def test_evidence_of_chosen_configs_is_not_looked_at(graph: GraphStore) -> None:
    say(
        graph,
        "x.txt",
        "Ada Lovelace died in London.",
        ("Ada Lovelace", "died_in", "London"),
        config=OTHER,
    )
    assert len(source_sentences(graph)) == 4
    assert len(source_sentences(graph, without=[OTHER.id])) == 3


def test_a_clause_within_a_quote_is_one_example_with_it(graph: GraphStore) -> None:
    """Two harvesters quote differently: one the sentence, the other a clause of it."""
    text = "Max Born was born in Breslau and died in Göttingen."
    say(graph, "two.txt", text, ("Max Born", "died_in", "Göttingen"))
    clause = "Max Born was born in Breslau"
    say(graph, "two.txt", text, ("Max Born", "born_in", "Breslau"), quote=clause, config=OTHER)
    found = outputs(graph)
    assert clause not in found and len(found[text].split("; ")) == 2


def test_what_two_documents_say_in_the_same_words_is_one_demonstration(graph: GraphStore) -> None:
    say(graph, "copy.txt", "Marie  Curie was born in Warsaw!", ("Warsaw", "born_in", "Warsaw"))
    say(graph, "again.txt", BIRTHS["fermi.txt"][0], BIRTHS["fermi.txt"][1])
    assert sum("Fermi" in one.text for one in GraphPool(graph).sentences) == 1


# ------------------------------------------------------------------------------ retrieving


@pytest.mark.parametrize(
    "asked",
    [
        "Marie Curie was born in Warsaw.",
        "marie curie was born in  WARSAW",
        "Everybody knows that Marie Curie was born in Warsaw. She left.",
        "born in Warsaw",
    ],
)
def test_the_sentence_itself_is_never_its_own_demonstration(graph: GraphStore, asked: str) -> None:
    found = {hit.input for hit in GraphPool(graph).retrieve(asked, k=10)}
    assert found == {BIRTHS["fermi.txt"][0], BIRTHS["hahn.txt"][0]}


def test_a_relation_limits_sentences_and_what_they_state(graph: GraphStore) -> None:
    text = "Max Born was born in Breslau and died in Göttingen."
    say(
        graph,
        "b.txt",
        text,
        ("Max Born", "born_in", "Breslau"),
        ("Max Born", "died_in", "Göttingen"),
    )
    pool = GraphPool(graph)
    for name in ("died_in", "died in", "DIED_IN"):
        hits = pool.retrieve("Lise Meitner died in Cambridge.", relation=name)
        assert {hit.output for hit in hits} == {
            "Max Born | died_in | Göttingen",
            "Otto Hahn | died_in | Göttingen",
        }
        assert [hit.rank for hit in hits] == [1, 2]


def test_a_rare_relation_is_found_behind_many_nearer_sentences(graph: kg.GraphStore) -> None:
    names = [f"Max{chr(65 + at % 26)}{chr(97 + at // 26)}" for at in range(90)]
    for name in names:
        say(graph, f"{name}.txt", f"{name} was born in Kiel.", (name, "born_in", "Kiel"))
    asked = "Ada was born in Kiel."
    pool = GraphPool(graph)
    (hit,) = pool.retrieve(asked, relation="died_in", k=3)
    assert hit.output == "Otto Hahn | died_in | Göttingen" and hit.rank == 1
    births = pool.retrieve(asked, relation="born_in", k=50)
    everything = [h for h in pool.retrieve(asked, k=99) if "born_in" in h.output]
    assert births == everything[:50]


def test_without_a_sentence_the_best_supported_come_first(graph: kg.GraphStore) -> None:
    say(graph, "twice.txt", "In Rome, Enrico Fermi was born.", ("Enrico Fermi", "born_in", "Rome"))
    hits = GraphPool(graph).stating("born in", k=3)
    assert [hit.output for hit in hits] == [
        "Enrico Fermi | born_in | Rome",
        "Enrico Fermi | born_in | Rome",
        "Marie Curie | born_in | Warsaw",
    ]
    assert [hit.rank for hit in hits] == [1, 2, 3] and hits[0].score > hits[2].score
    with pytest.raises(QueryShapeError, match="k is 0"):
        GraphPool(graph).stating("born in", k=0)


def test_one_call_for_one_question(graph: kg.GraphStore) -> None:
    asked = "Lise Meitner was born in Vienna."
    pool = GraphPool(graph)
    assert retrieval.demos(graph, asked, k=2) == pool.retrieve(asked, k=2)
    assert retrieval.demos(graph, relation="died in") == pool.stating("died in")
    with pytest.raises(QueryShapeError, match="give a sentence, a relation, or both"):
        retrieval.demos(graph)


def test_an_inverse_phrase_means_its_relation() -> None:
    graph = kg.open_graph("memory://")
    sample_graph.fill(graph)
    (hit,) = GraphPool(graph).retrieve("Oxford employed Ada.", relation="employed")
    assert hit.output == "Marie Curie | employer | University of Paris"


def test_questions_that_make_no_sense_are_refused(graph: GraphStore) -> None:
    pool = GraphPool(graph)
    with pytest.raises(QueryShapeError, match="holds no word"):
        pool.retrieve(" … ")
    with pytest.raises(QueryShapeError, match="k is 0"):
        pool.retrieve("Ada", k=0)
    with pytest.raises(UnknownRelation, match="unknown relation 'bron_in'; did you mean 'born_in'"):
        pool.retrieve("Ada", relation="bron_in")


# ----------------------------------------------------------------------------- incremental


def counted(
    vector: Callable[[str], list[float]],
) -> tuple[list[str], Callable[[list[str]], np.ndarray]]:
    seen: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return np.array([vector(text) for text in texts], np.float32)

    return seen, encode


def test_a_changed_graph_is_seen_and_only_what_is_new_is_encoded(store: GraphStore) -> None:
    seen, encode = counted(lambda text: [1.0, float("born" in text), float("died" in text)])
    pool = GraphPool(store, encode)
    assert sum("\t" in text for text in seen) == 3
    seen.clear()
    new = "Max Planck was born in Kiel."
    run = say(store, "new.txt", new, ("Max Planck", "born_in", "Kiel"))
    hits = pool.retrieve("Ada was born in London.", k=9)
    assert new in {hit.input for hit in hits}
    assert [text for text in seen if "\t" in text] == [
        f"Statements of the sentence: {new}\tMax Planck | born_in | Kiel"
    ]
    seen.clear()
    store.undo(run)
    assert new not in {hit.input for hit in pool.retrieve("Ada was born in London.", k=9)}
    store.delete_document("fermi.txt")
    hits = pool.retrieve("Ada was born in London.", k=9)
    assert {hit.provenance["source"] for hit in hits} == {"curie.txt", "hahn.txt"}
    assert not any("\t" in text for text in seen)


def test_a_sentence_that_states_more_now_is_encoded_again(graph: GraphStore) -> None:
    seen, encode = counted(lambda text: [1.0, 0.0])
    pool = GraphPool(graph, encode)
    seen.clear()
    text, _ = BIRTHS["hahn.txt"]
    say(graph, "hahn.txt", text, ("Otto Hahn", "buried_in", "Göttingen"), config=OTHER)
    assert pool.refresh() == 1 and len(seen) == 1
    assert pool.refresh() == 0


def test_a_pool_that_does_not_follow_stays_as_it_was(graph: GraphStore) -> None:
    pool = GraphPool(graph, follow=False)
    before = pool.fingerprint
    say(graph, "new.txt", "Max Planck was born in Kiel.", ("Max Planck", "born_in", "Kiel"))
    assert len(pool.retrieve("Ada was born in London.")) == 3 and pool.fingerprint == before
    pool.refresh()
    assert len(pool.retrieve("Ada was born in London.")) == 4 and pool.fingerprint != before


def test_vectors_are_kept_with_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from retrieval.encoders.sentence import SentenceEncoder

    encode, seen = SentenceEncoder.encode, []

    def watched(self: SentenceEncoder, texts: list[str]) -> object:
        seen.extend(texts)
        return encode(self, texts)

    monkeypatch.setattr(SentenceEncoder, "encode", watched)
    graph = fill(kg.open_graph(tmp_path / "x.kg"))
    first = GraphPool(graph, "minilm").retrieve("Ada was born in London.")
    seen.clear()
    again = GraphPool(graph, "minilm").retrieve("Ada was born in London.")
    assert not any("\t" in text for text in seen)
    assert [hit.id for hit in again] == [hit.id for hit in first] and len(first) == 3
    graph.close()
    damaged = tmp_path / "x.kg" / "demonstrations" / "minilm" / "demos.jsonl"
    damaged.write_text("")
    graph = kg.open_graph(tmp_path / "x.kg")
    with pytest.raises(ModelFileError, match=r"delete .*minilm, and they are encoded anew"):
        GraphPool(graph, "minilm")
    graph.close()


def test_a_trained_encoder_is_kept_under_a_hash_of_its_files(tmp_path: Path) -> None:
    folder = toy_encoder(tmp_path)
    graph = fill(kg.open_graph(tmp_path / "x.kg"))
    first = GraphPool(graph, folder).retrieve("Ada was born in London.")
    assert len(first) == 3 and GraphPool(graph, folder).retrieve("Ada was born in London.") == first
    kept = {path.name for path in (tmp_path / "x.kg" / "demonstrations").iterdir()}
    assert kept == {encoder_name(folder)} and encoder_name(folder).startswith("encoder-")
    (folder / "README.md").write_text("trained further")
    assert encoder_name(folder) not in kept
    graph.close()


# --------------------------------------------------------------------------------- command


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(sheaf.app, ["demos", *words])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def address(tmp_path: Path) -> str:
    fill(kg.open_graph(tmp_path / "x.kg")).close()
    return str(tmp_path / "x.kg")


def test_the_command_prints_sentences_triples_and_places(address: str) -> None:
    code, out, _ = run(address, "Enrico Meitner was born in Vienna.", "-k", "1")
    assert code == 0
    assert "Enrico Fermi | born_in | Rome" in out and "fermi.txt:0-30" in out


def test_the_command_prints_the_prompt(address: str) -> None:
    code, out, _ = run(address, "Ada died in London.", "--relation", "died_in", "--prompt")
    assert code == 0
    assert out == (
        "Otto Hahn died in Göttingen 𝒳.\tOtto Hahn | died_in | Göttingen\nAda died in London.\t\n"
    )


def test_the_command_prints_json(address: str) -> None:
    code, out, _ = run(
        address, "Enrico Meitner was born in Vienna.", "--json", "--retriever", "tfidf"
    )
    answer = json.loads(out)
    assert code == 0 and answer["pool"] == 3 and len(answer["demos"]) == 3
    assert answer["demos"][0]["provenance"]["source"] == "fermi.txt"


def test_the_command_needs_no_sentence_for_a_relation(address: str) -> None:
    code, out, _ = run(address, "--relation", "born_in", "--json")
    assert code == 0 and len(json.loads(out)["demos"]) == 2
    for words in ((), ("--relation", "born_in", "--prompt")):
        code, _, err = run(address, *words)
        assert code == 2 and "give a sentence" in err


def test_the_command_says_what_is_wrong(address: str, tmp_path: Path) -> None:
    assert run(address, "Ada", "--relation", "x")[0] == 2
    assert "is no folder of an encoder" in run(address, "Ada", "--retriever", "nothing")[2]
    code, _, err = run(str(tmp_path / "none.kg"), "Ada")
    assert code == 2 and "none.kg" in err
    code, out, err = run(address, "died in Göttingen", "--relation", "died_in", "--json")
    assert code == 0 and json.loads(out)["demos"] == [] and "none of 3 sentences fits" in err
