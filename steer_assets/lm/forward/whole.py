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
from jaxtyping import Bool, Float, Int
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
    """Rows over ``heads`` (prompts without their last token) that store only their tokens.

    whole_prompt: whether edits apply to the heads too.
    """

    def __init__(
        self,
        lm: LanguageModel,
        heads: Sequence[Tokens],
        prompt_of_row: Int[Tensor, " rows"],
        *,
        whole_prompt: bool = False,
    ) -> None:
        self._lm, self._whole_prompt = lm, whole_prompt
        chosen = [heads[p] for p in prompt_of_row.tolist()]
        self._ids = pad(lm, chosen)
        self._ends = lm.tensor([len(head) for head in chosen])  # position of the last prompt token
        self._taken = 0
        self._edited: Bool[Tensor, "rows taken"] | None = None

    def step(
        self, tokens: Int[Tensor, " rows"], edited: Bool[Tensor, " rows"] | None = None
    ) -> Float[Tensor, "rows v"]:
        """Feed one token per row; next-token logits in the model's dtype.

        edited: given at every step or at none.
        """
        at = (self._ends + self._taken)[:, None]
        ids = torch.nn.functional.pad(self._ids, (0, 1)).scatter(1, at, tokens[:, None])
        self._ids, self._taken = ids, self._taken + 1
        if edited is not None:
            before = edited.new_empty((len(edited), 0)) if self._edited is None else self._edited
            self._edited = torch.cat([before, edited[:, None]], dim=1)
        size = TOKENS_AT_ONCE // ids.shape[1]
        parts = [
            whole_logits(self._lm, ids[rows], self._window(rows, at[rows]))[:, -1]
            for rows in row_parts(len(ids), size, ids.device)
        ]
        return torch.cat(parts)

    def _window(self, rows: Int[Tensor, " part"], read: Int[Tensor, "part 1"]) -> Window:
        positions = self._ends[rows, None] + torch.arange(self._taken, device=rows.device)
        edited = None if self._edited is None else self._edited[rows]
        return Window(None if self._whole_prompt else positions, rows, read, edited)

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Retire all rows but these (ascending)."""
        self._ids, self._ends = self._ids[rows], self._ends[rows]
        self._edited = None if self._edited is None else self._edited[rows]
