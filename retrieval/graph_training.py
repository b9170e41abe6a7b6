"""Train link prediction on a graph: choose, report on held-out links, then use all links.

What is held out, and how, stands in `retrieval.held_out`. Size decides the rest, as tried on graphs
of 200 to 1,100 links made from Wikidata sentences: 20 epochs of small batches there, where a
vocabulary of all words beats one of shared words (MRR .31 against .24, popularity .17); 5 epochs of
large batches above 20,000 links.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from retrieval.calibration import Calibrations
from retrieval.entity_training.presets import Preset
from retrieval.entity_training.recipe import preset_named
from retrieval.errors import NothingToPredict, QueryShapeError
from retrieval.graph_model import GraphModel
from retrieval.graph_snapshot import GraphSnapshot, entity_text
from retrieval.held_out import SMALL, Trial, hold_out, split_links
from retrieval.threads import threads
from retrieval.triple_data import TripleData
from retrieval.vector_index import VectorIndex

if TYPE_CHECKING:
    from kg.store.protocol import GraphStore
    from retrieval.progress import Progress

__all__ = ["EncoderName", "TrainReport", "train_graph"]

type EncoderName = Literal["bow", "minilm"]


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What `train` did, and how good the answers are on links that it had not seen."""

    #: The trained model; pass it to `predict` and `search` for a graph without a folder.
    model: GraphModel
    entities: int
    relations: int
    triples: int
    #: Links that were held out for the figures below; 0 on a graph too small for it.
    held_out: int
    #: Filtered, realistic, both sides, among all entities; None if nothing was held out.
    mrr: float | None
    hits_at_10: float | None
    #: MRR of "what stands most often at this end of the relation", on the same questions.
    popularity_mrr: float | None
    #: What the dev split decided, in words.
    choice: str
    epochs: int
    seed: int
    seconds: float
    cpu_seconds: float

    def figures(self) -> dict[str, Any]:
        """Return all but the model, ready for JSON."""
        return {
            "mrr": self.mrr,
            "hits_at_10": self.hits_at_10,
            "popularity_mrr": self.popularity_mrr,
            "held_out": self.held_out,
            "entities": self.entities,
            "relations": self.relations,
            "triples": self.triples,
            "choice": self.choice,
            "epochs": self.epochs,
            "dim": self.model.encoder.dim,
            "seed": self.seed,
            "model": self.model.fingerprint,
            "trained_on": self.model.trained_on,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }


def train_graph(
    graph: GraphStore,
    *,
    encoder: EncoderName = "bow",
    epochs: int | None = None,
    dim: int = 128,
    seed: int = 0,
    progress: Progress | None = None,
) -> TrainReport:
    """Train on a graph's links, write model and index to its home, and report.

    Args:
        graph: the graph; only its derived triples are read, predictions are not.
        encoder: "bow", the bag of words; or "minilm", a frozen MiniLM with such a bag beside it,
            which takes minutes where the bag takes seconds.
        epochs: passes over the links; by size of the graph if not given.
        dim: length of a vector of the bag of words; MiniLM has its own, 384.
        seed: of splits, initial weights and batches.
        progress: called after each training step.

    Raises:
        NothingToPredict: if the graph has no link between two entities.
        QueryShapeError: for an unknown encoder, or less than one epoch or dimension.
    """
    if encoder not in ("bow", "minilm"):
        raise QueryShapeError(f"unknown encoder {encoder!r}; available: bow, minilm")
    if dim < 1 or (epochs is not None and epochs < 1):
        raise QueryShapeError(f"{dim=} and {epochs=} must be 1 or more")
    wall, cpu = time.perf_counter(), time.process_time()
    snapshot = GraphSnapshot.of(graph)
    if not snapshot.triples:
        raise NothingToPredict(
            f"{graph.uri} holds no link between two entities; harvest documents into it first"
        )
    data = TripleData.of(
        [(t.head, t.relation, t.tail) for t in snapshot.triples],
        texts={id: entity_text(entity) for id, entity in snapshot.entities.items()},
        entities=snapshot.entities,
        text_source="graph",
    )
    split = split_links(data.train, seed=seed)
    preset = _preset(len(data.train), encoder, epochs, dim, seed)
    # All trainings read the same texts: what a sentence encoder makes of them is computed once. The
    # products of a small graph are too small to share between threads.
    with (
        TemporaryDirectory() as cache,
        threads(1 if len(data.train) <= SMALL else None),
    ):
        trial = Trial(data, preset, cache=Path(cache), progress=progress)
        min_count, choice = trial.choose(split.dev)
        types = [snapshot.entities[id].types or ("",) for id in data.entities]
        held = hold_out(trial, split.folds, min_count, types)
        final = trial.train(data.train, min_count)
    model = GraphModel(
        encoder=final.encoder,
        scorer=final.scorer,
        relations=data.relations,
        calibration=held.calibrations if held else Calibrations.unfitted(),
        trained_on=snapshot.change_counter,
        index=VectorIndex(dim=final.encoder.dim),
    )
    model.refresh(snapshot)
    report = TrainReport(
        model=model,
        entities=len(data.entities),
        relations=len(data.relations),
        triples=len(data.train),
        held_out=held.links if held else 0,
        mrr=round(held.ranks.mrr(), 4) if held else None,
        hits_at_10=round(held.ranks.hits(10), 4) if held else None,
        popularity_mrr=round(held.popularity.mrr(), 4) if held else None,
        choice=choice,
        epochs=preset.passes or 0,
        seed=seed,
        seconds=round(time.perf_counter() - wall, 2),
        cpu_seconds=round(time.process_time() - cpu, 2),
    )
    if graph.home is not None:
        model.save(graph.home, figures=report.figures())
    return report


def _preset(links: int, encoder: EncoderName, epochs: int | None, dim: int, seed: int) -> Preset:
    """Return the recipe by the size of the graph; the module's docstring says why."""
    entities = 120 if links <= 5000 else 480 if links <= SMALL else None
    passes = epochs or (5 if links > SMALL else 20)
    if encoder == "bow":
        return preset_named("bow-infonce", passes=passes, entities=entities, dim=dim, seed=seed)
    return preset_named(
        "minilm-frozen",
        head="affine",
        batches="random",
        passes=passes,
        entities=entities,
        seed=seed,
    )
