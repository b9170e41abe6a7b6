"""Train a model on the triples of a data folder or graph by a preset, resumable."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from retrieval.encoders.bag_of_words import BagOfWordsEncoder
from retrieval.entity_model import EntityModel, answer_ranks, drawn_questions
from retrieval.entity_training.batches import Batches, batches_in_a_pass
from retrieval.entity_training.contrastive import Contrastive, ContrastiveOptions
from retrieval.entity_training.margin import Margin
from retrieval.entity_training.presets import PRESETS, Preset, PresetName
from retrieval.entity_training.trainees import BagTrainee, ComposedTrainee, Trainee
from retrieval.entity_training.trainer import EntityReport, Objective, train_entities
from retrieval.errors import NothingToPredict, QueryShapeError
from retrieval.heads.protocol import untrained_head
from retrieval.protocols import questions

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrieval.heads.protocol import RelationHead
    from retrieval.progress import Progress
    from retrieval.protocols import ProtocolName
    from retrieval.triple_data import TripleData

__all__ = ["preset_named", "train_model"]

#: Dev questions that a check asks; enough to tell .01 of MRR apart, few enough to cost seconds.
ASKED: Final = 4000


def preset_named(name: PresetName, **changes: Any) -> Preset:
    """Return a preset with changes; a change of None is none.

    `steps`, `entities`, `batches`, `most`, `seed`, … change its options; `temperature` its loss.

    Raises:
        QueryShapeError: an unknown preset or change.

    >>> preset_named("minilm", steps=10, layers=1).options.steps
    10
    """
    if name not in PRESETS:
        raise QueryShapeError(f"unknown preset {name!r}; choose {', '.join(PRESETS)}")
    preset = PRESETS[name]
    if changes.get("steps") is not None:
        preset = replace(preset, passes=None)
    for key, value in changes.items():
        if value is None:
            continue
        if key in asdict(preset.options):
            preset = replace(preset, options=replace(preset.options, **{key: value}))
        elif key in asdict(preset.objective):
            preset = replace(preset, objective=replace(preset.objective, **{key: value}))
        elif key in asdict(preset):
            preset = replace(preset, **{key: value})
        else:
            raise QueryShapeError(f"the preset {name!r} has no {key!r}")
    return preset


def train_model(
    data: TripleData,
    preset: Preset,
    *,
    protocol: ProtocolName = "dynamic",
    folder: Path | None = None,
    cache: Path | None = None,
    min_count: int = 2,
    batches: Batches | None = None,
    progress: Progress | None = None,
) -> tuple[EntityModel, EntityReport]:
    """Train on `data.train`, choosing the best state on `data.dev` if there is one.

    Args:
        data: triples and texts.
        preset: the recipe.
        protocol: of the dev questions.
        folder: for the checkpoint; a stopped training goes on from it.
        cache: for the lower layers' states, which other trainings on these texts can use; `folder`
            if not given.
        min_count: training entities that a feature of the bag must occur in.
        batches: drawn from instead of the recipe's.
        progress: called after each step.

    Raises:
        NothingToPredict: no training triple.
        ModelFileError: the folder holds the checkpoint of another training.
    """
    if not len(data.train):
        raise NothingToPredict("there is no triple to train on")
    seed = preset.options.seed
    options = preset.options
    if preset.passes is not None:
        one = batches_in_a_pass(data.train, entities=options.entities, seed=seed)
        options = replace(options, steps=preset.passes * one)
    trainee = _trainee(data, preset, cache=cache or folder, min_count=min_count)
    dim = trainee.dim
    relations = len(data.relations)
    head = untrained_head(
        preset.head, relations=relations, dim=dim, inverses=preset.inverses, seed=seed + 1
    )
    objective: Objective = (
        Contrastive(data.train, relations=relations, options=preset.objective)
        if isinstance(preset.objective, ContrastiveOptions)
        else Margin(data.train, relations=relations, options=preset.objective)
    )
    report = train_entities(
        trainee,
        head,
        data.train,
        objective,
        options=options,
        batches=batches,
        measure=_dev_mrr(data, trainee, head, protocol) if len(data.dev) else None,
        checkpoint=folder / "checkpoint.safetensors" if folder else None,
        progress=progress,
    )
    about = {
        "data": data.origin,
        "text": data.text_source,
        "preset": asdict(preset),
        "min_count": min_count,
        "training": asdict(report),
    }
    return EntityModel(trainee.encoder(), head, data.relations, about), report


def _trainee(data: TripleData, preset: Preset, *, cache: Path | None, min_count: int) -> Trainee:
    trained = data.entities_of(data.train)
    if preset.encoder == "bow":
        encoder = BagOfWordsEncoder.fit(
            [data.texts[row] for row in trained.tolist()],
            dim=preset.dim,
            min_count=min_count,
            seed=preset.options.seed,
        )
        return BagTrainee(encoder, data.texts)
    return ComposedTrainee(
        data.texts,
        trained,
        layers=preset.layers,
        bag=preset.bag,
        min_count=min_count,
        seed=preset.options.seed,
        cache=cache,
    )


def _dev_mrr(
    data: TripleData, trainee: Trainee, head: RelationHead, protocol: ProtocolName
) -> Callable[[], float]:
    """Return what a check measures: the filtered MRR of dev questions, drawn once."""
    asked = questions(data, protocol, "dev")
    chosen = drawn_questions(asked, ASKED)

    def measure() -> float:
        return answer_ranks(head, trainee.encoded(), asked, chosen=chosen).mrr()

    return measure
