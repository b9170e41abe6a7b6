"""Our encoders as a module of sentence-transformers, so that its users can load what we save.

```python
model = SentenceTransformer("my-model/encoder", trust_remote_code=True)   # sheaf is installed
model.encode(["physicist who discovered radium"])                          # the same vectors
```

sentence-transformers asks for `trust_remote_code=True` wherever a folder names a class that is not
its own; the class is this one, from the installed package, and no code of the folder is run. It is
the only module here that needs torch when it is imported, and nothing but sentence-transformers
imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from sentence_transformers.base.modules import InputModule

from retrieval.encoders.protocol import load_encoder

if TYPE_CHECKING:
    from retrieval.encoders.protocol import EntityEncoder

__all__ = ["EncoderModule"]

#: Where a text waits between reading and encoding.
TEXTS: Final = "sheaf_texts"


class EncoderModule(InputModule):
    """One of our encoders behind sentence-transformers' interface.

    Args:
        encoder: whose vectors are given.
    """

    save_in_root = True

    def __init__(self, encoder: EntityEncoder) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.encoder = encoder

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Return the texts as they are; they are cut by the encoder itself."""
        return {TEXTS: [f"{prompt or ''}{text}" for text in inputs]}

    def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Add `sentence_embedding`, [texts, dim]."""
        features["sentence_embedding"] = torch.from_numpy(self.encoder.encode(features[TEXTS]))
        return features

    def get_embedding_dimension(self) -> int:
        """Return the length of a vector."""
        return self.encoder.dim

    def save(self, output_path: str, *args: Any, **options: Any) -> None:
        """Write the encoder."""
        self.encoder.save(Path(output_path))

    @classmethod
    def load(cls, model_name_or_path: str, *args: Any, **options: Any) -> EncoderModule:
        """Return the encoder of a folder."""
        return cls(load_encoder(Path(model_name_or_path)))
