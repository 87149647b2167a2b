"""Prompts that are run once and then steered again and again: a search over doses.

A call of `next_token_logits` runs every prompt anew, which for a few arms takes longer than the
arms. Here the prefixes, and the residual stream of the last token at the blocks to be steered, are
kept between calls. If arms edit every prompt token, the prompts run anew with every arm all the
same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steer_assets.lm.errors import InterventionError
from steer_assets.lm.forward.intervene import Arm, ArmTable, check_layers
from steer_assets.lm.forward.prefix import Prefix, by_length
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Scope, require_next_token
from steer_assets.lm.forward.stepping import prepare, rows_at_once
from steer_assets.lm.measurements.logits import chunks, steered, unsteered
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank


@dataclass(frozen=True)
class _Batch:
    """Prompts by their place in the input, and what does not depend on any arm."""

    places: list[int]
    prefix: Prefix
    last: Tensor
    hidden: dict[int, Tensor]


class PreparedPrompts:
    """Prompts whose unsteered pass is done; ``unsteered`` [n, v] are its next-token logits."""

    @on_every_rank
    @torch.inference_mode()
    def __init__(
        self,
        lm: LanguageModel,
        prompts: Sequence[Sequence[int]],
        layers: Sequence[int],
        *,
        scope: Scope = LAST_PROMPT_AND_GENERATED,
        batch_tokens: int = 4096,
        batch_rows: int = 256,
    ) -> None:
        """Run ``prompts``, to be steered at ``layers``.

        Raises PromptError and InterventionError for prompts and layers that are not the model's,
        and for a scope under which the next token is not moved.
        """
        require_next_token(scope)
        lm.check_prompts(prompts)
        check_layers(lm, layers)
        self.lm, self._scope = lm, scope
        whole, longest = scope.whole_prompt, max(map(len, prompts))
        self._most = rows_at_once(lm, batch_rows, longest, whole_prompt=whole)
        self._batches: list[_Batch] = []
        self.unsteered: Float[np.ndarray, "n v"] = np.empty(
            (len(prompts), lm.vocab_size), np.float32
        )
        for places in by_length(prompts, batch_tokens):
            chosen = [prompts[i] for i in places]
            prefix = prepare(lm, chosen)
            last = lm.tensor([prompt[-1] for prompt in chosen])
            plain, hidden = unsteered(lm, prefix, last, sorted(set(layers)))
            self.unsteered[places] = plain.float().cpu().numpy()
            self._batches.append(_Batch(list(places), prefix, last, hidden))

    @on_every_rank
    @torch.inference_mode()
    def steered(
        self, arms: Sequence[Arm], vectors: Float[np.ndarray, "n d"]
    ) -> Iterator[tuple[int, int, Float[np.ndarray, " v"]]]:
        """(prompt, arm, logits [v]) of every prompt under every arm, in no fixed order.

        Raises InterventionError for an arm that does not add at one block, and that one prepared.
        """
        table = ArmTable(self.lm, arms, vectors)
        by_layer: dict[int, list[int]] = {}
        for index, arm in enumerate(arms):
            layers = {addition.layer for addition in arm}
            if len(layers) != 1 or not layers <= set(self._batches[0].hidden):
                raise InterventionError(
                    f"arm {index} adds at blocks {sorted(layers)}; prompts are prepared for one of "
                    f"{sorted(self._batches[0].hidden)}"
                )
            by_layer.setdefault(layers.pop(), []).append(index)
        for batch in self._batches:
            for layer, members in by_layer.items():
                yield from self._layer(batch, layer, members, table)

    def _layer(
        self, batch: _Batch, layer: int, members: list[int], table: ArmTable
    ) -> Iterator[tuple[int, int, Float[np.ndarray, " v"]]]:
        for rows in chunks(len(batch.places), members, self._most):
            hidden = batch.hidden[layer]
            found = steered(
                self.lm, batch.prefix, batch.last, layer, hidden, table, rows, self._scope
            )
            pairs = [(batch.places[p], arm) for p in rows.prompts for arm in rows.arms]
            for (prompt, arm), logits in zip(pairs, found.float().cpu().numpy(), strict=True):
                yield prompt, arm, logits
