"""Rows whose every step runs the whole sequence again: valid for any causal architecture.

No states are kept, so nothing is assumed about the model's states. Rows are right-padded, which
does not change earlier positions in a causal model. The cost of a step is that of the whole
sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steer_assets.lm.forward.edit_window import Window, looking_at, row_parts, watch_head
from steer_assets.lm.forward.packing import packed_weights
from steer_assets.lm.forward.prefix import Tokens, pad
from steer_assets.lm.model import LanguageModel

TOKENS_AT_ONCE = 4096


def run_whole(lm: LanguageModel, prompts: Sequence[Tokens]) -> None:
    """Run the backbone over right-padded prompts, to trigger the hooks on its blocks."""
    with packed_weights(lm):
        lm.layout.backbone(input_ids=pad(lm, prompts), use_cache=False)


def whole_logits(
    lm: LanguageModel, ids: Int[Tensor, "rows t"], window: Window
) -> Float[Tensor, "rows r v"]:
    """Logits at the positions that ``window`` reads, in the model's dtype."""
    watch_head(lm.layout.head)
    # Packed weights support no differentiation, backward or forward.
    weights: Any = packed_weights(lm) if torch.is_inference_mode_enabled() else nullcontext()
    with weights, looking_at(window):
        logits = lm.model(input_ids=ids, use_cache=False).logits
    assert isinstance(logits, Tensor)
    return logits


class WholeRows:
    """Rows over ``heads`` (prompts without their last token) that store only their tokens."""

    def __init__(
        self, lm: LanguageModel, heads: Sequence[Tokens], prompt_of_row: Int[Tensor, " rows"]
    ) -> None:
        self._lm = lm
        chosen = [heads[p] for p in prompt_of_row.tolist()]
        self._ids = pad(lm, chosen)
        self._ends = lm.tensor([len(head) for head in chosen])  # position of the last prompt token
        self._taken = 0

    def step(self, tokens: Int[Tensor, " rows"]) -> Float[Tensor, "rows v"]:
        """Feed one token per row; next-token logits in the model's dtype."""
        at = (self._ends + self._taken)[:, None]
        ids = torch.nn.functional.pad(self._ids, (0, 1)).scatter(1, at, tokens[:, None])
        self._ids, self._taken = ids, self._taken + 1
        positions = self._ends[:, None] + torch.arange(self._taken, device=ids.device)
        size = TOKENS_AT_ONCE // ids.shape[1]
        parts = [
            whole_logits(self._lm, ids[rows], Window(positions[rows], rows, at[rows]))[:, -1]
            for rows in row_parts(len(ids), size, ids.device)
        ]
        return torch.cat(parts)

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Retire all rows but these (ascending)."""
        self._ids, self._ends = self._ids[rows], self._ends[rows]
