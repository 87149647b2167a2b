"""A loaded language model: the interface between transformers and the rest of the package."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from steer_assets.lm.chat import DEFAULT_DATE, Encoder
from steer_assets.lm.errors import PromptError
from steer_assets.lm.layout import Layout, find_layout
from steer_assets.lm.tensor_parallel.every_rank import Ranks
from steer_assets.lm.thinking import Thinking

Found = TypeVar("Found")

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}


class LanguageModel(Encoder):
    """A decoder-only model in evaluation mode, its tokenizer, and the sites of its residual stream.

    ``n_layers``, ``hidden_size`` and ``vocab_size`` count blocks, residual dimensions and logits;
    ``device`` and ``dtype`` are recorded as text; ``date`` and ``thinking`` are given to chat
    templates; ``ranks`` are the processes that each hold a part of the weights, None where this
    one holds all. Not safe for concurrent use: interventions place hooks on the shared module.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        date: datetime.date = DEFAULT_DATE,
        thinking: Thinking = Thinking(),  # noqa: B008 (immutable)
    ) -> None:
        super().__init__(tokenizer, date, thinking)
        self.model: Any = model.eval().requires_grad_(False)
        self.layout: Layout = find_layout(model)
        self.n_layers = len(self.layout.blocks)
        self.hidden_size = self.layout.hidden_size
        self.vocab_size = self.layout.vocab_size
        weight = self.layout.head.weight
        self.torch_device: torch.device = weight.device
        self.torch_dtype: torch.dtype = weight.dtype
        self.device = str(weight.device)
        self.dtype = str(weight.dtype).removeprefix("torch.")
        self.stop_ids: frozenset[int] = _stop_ids(model, tokenizer)
        self.ranks: Ranks | None = None

    def divide(self, ranks: Ranks) -> None:
        """Say that this process holds a part of the weights, as one of ``ranks``."""
        self.ranks = ranks

        def watch(_module: nn.Module, _args: Any) -> None:
            if not ranks.inside:  # the others would not run with this one, which would wait
                raise RuntimeError(
                    "a model over several processes runs only within functions of lm that run on "
                    "every rank"
                )

        self.layout.backbone.register_forward_pre_hook(watch)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special and stop tokens."""
        kept = [i for i in ids if i not in self.stop_ids]
        return str(self.tokenizer.decode(kept, skip_special_tokens=True))

    def tensor(self, values: Any) -> Tensor:
        """Token ids, positions or row numbers as an int64 tensor on the device."""
        return torch.as_tensor(values, dtype=torch.int64, device=self.torch_device)

    def check_prompts(self, prompts: Sequence[Sequence[int]]) -> None:
        """Raise PromptError for an empty prompt or an id outside the vocabulary."""
        n_embeddings = self.model.get_input_embeddings().weight.shape[0]
        for index, prompt in enumerate(prompts):
            if len(prompt) == 0:
                raise PromptError(f"prompt {index} has no tokens; at least one is needed")
            if min(prompt) < 0 or max(prompt) >= n_embeddings:
                raise PromptError(
                    f"prompt {index} has token ids from {min(prompt)} to {max(prompt)} where the "
                    f"vocabulary holds 0 to {n_embeddings - 1}"
                )

    @contextmanager
    def attention(self, implementation: str) -> Iterator[None]:
        """Run the model with another attention function within the block."""
        config = self.model.config
        before = config._attn_implementation
        config._attn_implementation = implementation
        try:
            yield
        finally:
            config._attn_implementation = before


def tried_once(lm: LanguageModel, name: str, trial: Callable[[], Found]) -> Found:
    """What ``trial`` finds of the model, which is kept on it as attribute ``name``."""
    found: Found | None = getattr(lm, name, None)
    if found is None:
        found = trial()
        setattr(lm, name, found)
    return found


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    declared = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    if declared is None:
        declared = getattr(model.config.get_text_config(), "eos_token_id", None)
    ids = declared if isinstance(declared, list) else [declared]
    own = getattr(tokenizer, "eos_token_id", None)
    return frozenset(i for i in [*ids, own] if isinstance(i, int))
