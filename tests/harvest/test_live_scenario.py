"""The promise of an inductive encoder, end to end: a new document's entity needs no training."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import harvest
import kg
import retrieval
from harvest.extraction.harvester import TextHarvester
from harvest.job import harvest as harvest_documents
from retrieval.graph_model import GraphModel
from retrieval.graph_snapshot import entity_text

SAMPLE = Path(str(files("harvest") / "sample"))
#: Nobody and nothing of the sample is called Harriet Brooks; the places are known.
NEW = (
    "Harriet Brooks was a physicist. Harriet Brooks was born in Warsaw. "
    "Harriet Brooks worked at the University of Paris.\n"
)


@pytest.mark.slow
def test_an_entity_of_a_new_document_is_ranked_and_found_without_training(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    for path in sorted(SAMPLE.glob("*.txt")) + sorted(SAMPLE.glob("*.md")):
        shutil.copy(path, documents)
    schema = kg.Schema.load(SAMPLE / "schema.yaml")
    facts = [fact.relation for fact in harvest.text(NEW, schema)]
    assert "born_in" in facts
    graph = kg.open_graph(tmp_path / "pioneers.kg")
    harvester = TextHarvester(schema)
    harvest_documents(graph, [documents], harvester=harvester)
    report = retrieval.train(graph, seed=0)
    trained, entities = report.model.fingerprint, set(report.model.texts)
    assert not any("Brooks" in entity.name for entity in graph.derived("entity"))

    (documents / "harriet-brooks.txt").write_text(NEW)
    harvest_documents(graph, [documents], harvester=harvester)
    (brooks,) = [one for one in graph.derived("entity") if one.name == "Harriet Brooks"]
    assert brooks.id not in entities

    links = retrieval.predict(graph, head="Harriet Brooks", relation="EMPLOYER", k=5)
    known = {link.tail.name for link in links}
    assert len(links) == 5
    assert [link.rank for link in links] == [1, 2, 3, 4, 5]
    assert "Harriet Brooks" not in known
    hits = retrieval.search(graph, "Harriet Brooks")
    assert hits[0].entity.id == brooks.id
    assert any(hit.entity.id == brooks.id for hit in retrieval.search(graph, "physicist Warsaw"))

    model = GraphModel.load(graph.home)
    assert model.fingerprint == trained
    alone = model.encoder.encode([entity_text(brooks)])[0]
    np.testing.assert_allclose(model.vectors([brooks.id])[0], alone, atol=1e-6)
    graph.close()
