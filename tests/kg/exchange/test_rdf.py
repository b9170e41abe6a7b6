"""RDF: read by rdflib and SPARQL, IRIs that RDF cannot hold, foreign and rewritten files."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import rdflib

import kg
from kg.errors import ExchangeError, RecordError
from kg.exchange.facts import Fact, FactReport, write_facts
from kg.exchange.rdf import read_rdf, to_rdflib, write_rdf
from kg.exchange.rdf.terms import BASE, VOCABULARY, literal_of, term_of
from kg.graph_hash import graph_hash
from kg.ids import entity_id, triple_id
from kg.records import Entity, Literal
from kg.store.protocol import GraphStore
from tests.kg.exchange.graphs import HOSTILE, full_graph, hostile_graph, names, triples
from tests.kg.sample_graph import MARIE, WARSAW, fill

SHEAF = rdflib.Namespace(VOCABULARY)
PROV = rdflib.Namespace("http://www.w3.org/ns/prov#")
BORN = triple_id(MARIE, "BORN_IN", WARSAW)


def sample() -> GraphStore:
    graph = kg.open_graph("memory://")
    fill(graph)
    return graph


def node(id: str) -> rdflib.URIRef:
    return rdflib.URIRef(BASE + id)


@pytest.mark.parametrize("suffix", ["nq", "trig", "ttl", "nt"])
def test_rdflib_reads_every_format(tmp_path: Path, suffix: str) -> None:
    graph = hostile_graph()
    write_rdf(graph, tmp_path / f"a.{suffix}")
    dataset = rdflib.Dataset(default_union=True)
    dataset.parse(tmp_path / f"a.{suffix}")
    labels = {str(label) for _, label in dataset.subject_objects(rdflib.RDFS.label)}
    assert set(HOSTILE) <= labels


def test_sparql_finds_a_triple_with_its_evidence() -> None:
    dataset = to_rdflib(sample())
    dataset.default_union = True
    rows = list(
        dataset.query(
            """
            PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
            PREFIX prov: <http://www.w3.org/ns/prov#>
            PREFIX rel: <urn:sheaf:relation/>
            PREFIX sheaf: <urn:sheaf:vocabulary#>
            PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#>
            SELECT ?who ?where ?score ?quote ?title WHERE {
              ?head rel:BORN_IN ?tail . ?head rdfs:label ?who . ?tail rdfs:label ?where .
              ?triple rdf:subject ?head ; rdf:object ?tail ; sheaf:score ?score .
              ?evidence sheaf:states ?triple ; prov:value ?quote ; prov:wasDerivedFrom ?chunk .
              ?chunk prov:wasDerivedFrom ?document .
              ?document <http://purl.org/dc/terms/title> ?title .
            } ORDER BY ?quote
            """
        )
    )
    assert [tuple(map(str, row)) for row in rows] == [
        (
            *("Marie Curie", "Warsaw", "0.9"),
            *("Perhaps Marie Curie\r\nwas born in Warsaw, they say.", "A rumour"),
        ),
        (
            *("Marie Curie", "Warsaw", "0.9"),
            *("𝒳 Marie Curie was born in Warsaw.", "Marie <i>Curie</i>"),
        ),
    ]


def test_a_named_graph_holds_one_document_and_what_it_states() -> None:
    graph = sample()
    dataset = to_rdflib(graph)
    for document in graph.written("document"):
        own = dataset.graph(node(document.id))
        found = set(own.subjects(rdflib.RDF.type, SHEAF.Evidence))
        evidence = {node(e.id) for e in graph.written("evidence", document=document.id)}
        assert found == evidence
    assert len(list(dataset.graphs())) == 3 + 2  # the default graph and the other records


def test_evidence_names_chunk_run_and_config() -> None:
    graph = sample()
    dataset = to_rdflib(graph)
    dataset.default_union = True
    evidence = next(graph.written("evidence", triple=BORN))
    own = node(evidence.id)
    assert dataset.value(own, PROV.wasDerivedFrom) == node(evidence.chunk or "")
    assert dataset.value(own, PROV.wasAttributedTo) == node(evidence.config)
    run = next(graph.written("evidence_link", id=evidence.id)).run
    assert dataset.value(own, PROV.wasGeneratedBy) == node("r_" + run)
    assert dataset.value(own, SHEAF.states) == node(BORN)
    assert (node("r_" + run), rdflib.RDF.type, PROV.Activity) in dataset


def test_scores_are_decimals_with_all_their_digits(tmp_path: Path) -> None:
    graph = full_graph()
    write_rdf(graph, tmp_path / "a.ttl")
    read = rdflib.Graph().parse(tmp_path / "a.ttl")
    for triple in graph.derived("triple"):
        score = read.value(node(triple.id), SHEAF.score)
        assert isinstance(score, rdflib.Literal)
        assert score.datatype == rdflib.XSD.decimal
        assert float(score) == pytest.approx(triple.score, abs=5e-7)


@pytest.mark.parametrize(
    ("iri", "node_iri"),
    [
        ("http://example.org/ok#é", "http://example.org/ok#é"),
        ("http://example.org/a b", None),
        ("http://example.org/<a>", None),
        ("http://example.org/{a}", None),
        ('http://example.org/"a"', None),
        ("no scheme", None),
        ("Q7186", None),
        (BASE + "e_" + "0" * 32, None),
        ("http://example.org/v_" + "0" * 32, None),
    ],
)
def test_an_external_iri_is_the_node_if_rdf_can_hold_it(
    tmp_path: Path, iri: str, node_iri: str | None
) -> None:
    graph, copy = kg.open_graph("memory://"), kg.open_graph("memory://")
    one = Entity(entity_id(iri=iri), "one", iri=iri)
    other = Entity(entity_id("other"), "other")
    write_facts(graph, [Fact(one, "knows", other)], file="x", sha256="y")
    write_rdf(graph, tmp_path / "a.ttl")
    read = rdflib.Graph().parse(tmp_path / "a.ttl")
    head = read.value(predicate=node("relation/KNOWS"), object=node(other.id))
    assert str(head) == (node_iri or BASE + one.id)
    read_rdf(copy, tmp_path / "a.ttl")
    assert triples(copy) == triples(graph)
    assert {e.iri for e in copy.derived("entity")} == {iri, ""}


def test_two_entities_with_one_iri_stay_two(tmp_path: Path) -> None:
    graph, copy = kg.open_graph("memory://"), kg.open_graph("memory://")
    ends = [Entity(entity_id(name), name, iri="http://example.org/x") for name in ("a", "b")]
    write_facts(graph, [Fact(ends[0], "is", ends[1])], file="x", sha256="y")
    write_rdf(graph, tmp_path / "a.ttl")
    read_rdf(copy, tmp_path / "a.ttl")
    assert triples(copy) == triples(graph)


def test_another_base(tmp_path: Path) -> None:
    graph, copy = full_graph(), kg.open_graph("memory://")
    write_rdf(graph, tmp_path / "a.nq", base="https://example.org/graph#")
    assert BASE + "e_" not in (tmp_path / "a.nq").read_text(encoding="utf-8")
    read_rdf(copy, tmp_path / "a.nq")
    assert graph_hash(copy) == graph_hash(graph)
    for wrong in ("https://example.org", "a b/"):
        with pytest.raises(ValueError, match=r"base|IRI"):
            write_rdf(graph, tmp_path / "b.nq", base=wrong)


@pytest.mark.parametrize("value", [Literal(*case) for case in (
    ("1867", "xsd:gYear"), ("", "xsd:string"), ("a", ""), ("a", "", "de"), ("a", "", "EN-gb"),
    ("a", "rdf:langString", "en"), ("a", "xsd:date", "en"), ("a", "kg:quantity"),
    ("a", "kg:a b<>"), ("a", "http://x/ok"), ("a", "http://x/not ok"),
    ("a", "urn:sheaf:vocabulary#x"),
    ("a\x00\r", "\x00/é", "not a tag"),
)])  # fmt: skip
def test_every_literal_comes_back(value: Literal) -> None:
    assert literal_of(term_of(value)) == value


# ------------------------------------------------------------------------------ rewritten files


def test_the_order_of_the_lines_does_not_matter(tmp_path: Path) -> None:
    graph, copy = full_graph(), kg.open_graph("memory://")
    write_rdf(graph, tmp_path / "a.nq")
    lines = (tmp_path / "a.nq").read_bytes().split(b"\n")[:-1]
    random.Random(1).shuffle(lines)
    (tmp_path / "b.nq").write_bytes(b"\n".join(lines + lines[:50]) + b"\n")
    read_rdf(copy, tmp_path / "b.nq")
    assert graph_hash(copy) == graph_hash(graph)


@pytest.mark.parametrize(("suffix", "format"), [("trig", "trig"), ("nq", "nquads")])
def test_what_rdflib_rewrites_is_still_lossless(tmp_path: Path, suffix: str, format: str) -> None:
    graph, copy = full_graph(), kg.open_graph("memory://")
    to_rdflib(graph).serialize(tmp_path / f"a.{suffix}", format=format)
    read_rdf(copy, tmp_path / f"a.{suffix}")
    assert graph_hash(copy) == graph_hash(graph)


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("was born in Warsaw.", "was born in Berlin.", "was changed|quotes"),
        ('vocabulary#surface> "Warsaw"', 'vocabulary#surface> ""', "damaged"),
        ('vocabulary#score> "0.9"', 'vocabulary#score> "9"', "between 0 and 1"),
        ('vocabulary#relation> "born_in"', 'vocabulary#relation> "lived in"', "was changed"),
        ('vocabulary#start> "0"', 'vocabulary#start> "x"', "damaged"),
        ("vocabulary#harvester>", "vocabulary#other>", "lacks 'harvester'"),
        ("ns/prov#wasGeneratedBy>", "ns/prov#other>", "no run found it"),
    ],
)
def test_a_changed_record_is_refused_and_taken_back(
    tmp_path: Path, old: str, new: str, hint: str
) -> None:
    write_rdf(sample(), tmp_path / "a.nq")
    text = (tmp_path / "a.nq").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "b.nq").write_text(text.replace(old, new), encoding="utf-8")
    copy = kg.open_graph("memory://")
    with pytest.raises((ExchangeError, RecordError), match=hint):
        read_rdf(copy, tmp_path / "b.nq")
    found = copy.stats()
    assert (found.runs, found.evidence, found.mentions, found.triples) == (0, 0, 0, 0)


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    graph = sample()
    write_rdf(graph, tmp_path / "a.nq")
    chunk = next(graph.written("chunk")).id
    lines = (tmp_path / "a.nq").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(f"<{BASE}{chunk}>")]
    (tmp_path / "b.nq").write_text("".join(kept), encoding="utf-8")
    with pytest.raises(RecordError, match=r"not written yet|no such chunk"):
        read_rdf(kg.open_graph("memory://"), tmp_path / "b.nq")


# -------------------------------------------------------------------------------- foreign files

FOREIGN = """
@prefix : <http://example.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
:Person a owl:Class ; rdfs:label "person" .
:bornIn a owl:ObjectProperty ; rdfs:label "born in"@en , "geboren in"@de .
:ada a :Person ; rdfs:label "Ada Lovelace"@en , "Ада Лавлейс"@ru ; :bornIn :London ;
    :born "1815-12-10"^^xsd:date ; :motto "Faith"@la ; :child [ rdfs:label "Byron" ] .
:London rdfs:comment "a city" .
:page%20two :seeAlso _:x . _:x :seeAlso _:y .
"""


def test_foreign_turtle_becomes_facts(tmp_path: Path) -> None:
    (tmp_path / "x.ttl").write_text(FOREIGN, encoding="utf-8")
    graph = kg.open_graph("memory://")
    report = read_rdf(graph, tmp_path / "x.ttl")
    assert isinstance(report, FactReport)
    assert (report.facts, report.created) == (6, 12)
    by_name = {e.name: e for e in graph.derived("entity")}
    assert by_name.keys() == {"Ada Lovelace", "London", "Byron", "page two", "_:1", "_:2"}
    ada = by_name["Ada Lovelace"]
    assert (ada.types, ada.iri) == (("Person",), "http://example.org/ada")
    assert ada.id == entity_id(iri="http://example.org/ada")
    assert by_name["London"].description == "a city"
    found = {(t.relation, t.predicate) for t in graph.derived("triple")}
    assert found == {
        ("BORN_IN", "born in"), ("BORN", "born"), ("MOTTO", "motto"), ("CHILD", "child"),
        ("SEEALSO", "seeAlso"),
    }  # fmt: skip
    values = {(v.lexical, v.datatype, v.lang) for v in graph.derived("literal")}
    assert values == {("1815-12-10", "xsd:date", ""), ("Faith", "rdf:langString", "la")}
    # Blank nodes too are the same when the same file is read again.
    assert read_rdf(graph, tmp_path / "x.ttl").created == 0


def test_a_foreign_statement_node_gives_no_second_fact(tmp_path: Path) -> None:
    text = """
        @prefix : <http://example.org/> .
        @prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
        :a :knows :b .
        :s a rdf:Statement ; rdf:subject :a ; rdf:predicate :knows ; rdf:object :b .
    """
    (tmp_path / "x.ttl").write_text(text, encoding="utf-8")
    graph = kg.open_graph("memory://")
    read_rdf(graph, tmp_path / "x.ttl")
    assert set(names(graph)) == {entity_id(iri=f"http://example.org/{name}") for name in "ab"}


def test_a_triple_term_is_refused(tmp_path: Path) -> None:
    line = "<urn:a:x> <urn:a:says> <<( <urn:a:x> <urn:a:p> <urn:a:y> )>> .\n"
    (tmp_path / "x.nt").write_text(line, encoding="utf-8")
    with pytest.raises(ExchangeError, match="triple term"):
        read_rdf(kg.open_graph("memory://"), tmp_path / "x.nt")


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose one of"):
        write_rdf(sample(), tmp_path / "a.xyz")
    (tmp_path / "a.xyz").touch()
    with pytest.raises(ExchangeError, match="no RDF format"):
        read_rdf(sample(), tmp_path / "a.xyz")
