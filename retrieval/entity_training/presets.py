"""Whole recipes: which encoder, head, objective and options go together.

| preset | encoder | head | loss | batches | after |
|---|---|---|---|---|---|
| `bow-infonce` | bag of words | affine | InfoNCE, τ .05 | random | quick start |
| `minilm-frozen` | MiniLM as it is + bag | low-rank | InfoNCE, τ .05 | mixed | minutes on a CPU |
| `minilm` | MiniLM, two layers trained + bag | low-rank | InfoNCE, τ .05 | mixed | the default |
| `blp-transe` | MiniLM, all layers trained | transe-l1 | margin 1, 64 negatives | random | BLP |
| `simkgc` | MiniLM, all layers trained + bag | affine | InfoNCE, see below | random | SimKGC |

`blp-transe` keeps what the paper's code does, not what it says: dropout is off, known positives are
not masked, the head query is the formula read backwards. Its sizes (batch 64, 40 epochs) are those
of hours of a GPU on BERT; give `steps` to spend less. `simkgc` is SimKGC's loss (γ .02, learned τ,
two pre-batches), not its two towers: each entity is encoded once, where the original reads head and
relation together.

Sources: Daza, Cochez, Groth, WWW 2021; Wang et al., "SimKGC", ACL 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from retrieval.entity_training.contrastive import ContrastiveOptions
from retrieval.entity_training.margin import MarginOptions
from retrieval.entity_training.trainer import EntityOptions
from retrieval.heads.protocol import HeadName

__all__ = ["PRESETS", "Preset", "PresetName"]

type PresetName = Literal["bow-infonce", "minilm-frozen", "minilm", "blp-transe", "simkgc"]


@dataclass(frozen=True, slots=True)
class Preset:
    """One recipe."""

    #: "bow", or "minilm" with `layers` trained.
    encoder: Literal["bow", "minilm"]
    head: HeadName
    objective: ContrastiveOptions | MarginOptions
    options: EntityOptions = field(default_factory=EntityOptions)
    layers: int = 0
    #: Steps are what it takes to see each triple so often; None: those of the options.
    passes: int | None = None
    #: The head has vectors of its own for inverse relations.
    inverses: bool = True
    #: A bag of words and n-grams stands beside the sentence encoder.
    bag: bool = True
    #: Length of a vector of the bag of words; MiniLM has 384.
    dim: int = 256


PRESETS: Final[Mapping[PresetName, Preset]] = {
    "bow-infonce": Preset(
        encoder="bow",
        head="affine",
        objective=ContrastiveOptions(),
        options=EntityOptions(batches="random", dense_rate=1e-2),
        passes=10,
    ),
    "minilm-frozen": Preset(
        encoder="minilm", head="low-rank", objective=ContrastiveOptions(), options=EntityOptions()
    ),
    "minilm": Preset(
        encoder="minilm",
        head="low-rank",
        objective=ContrastiveOptions(),
        options=EntityOptions(steps=300),
        layers=2,
    ),
    "blp-transe": Preset(
        encoder="minilm",
        head="transe-l1",
        objective=MarginOptions(),
        options=EntityOptions(
            batches="random", entities=128, upper_rate=2e-5, dense_rate=2e-5, warm_up=0.2
        ),
        layers=6,
        inverses=False,
        bag=False,
    ),
    "simkgc": Preset(
        encoder="minilm",
        head="affine",
        objective=ContrastiveOptions(margin=0.02, learned=True, pre_batches=2),
        options=EntityOptions(batches="random", upper_rate=5e-5, weight_decay=1e-4),
        layers=6,
    ),
}
