"""Next-token logits of many arms: one token through the upper blocks, over a shared prefix.

Below the lowest steered block every arm equals the unsteered model at the last prompt token, so the
lower blocks run once per prompt and only the upper ones once per arm. If arms edit every prompt
token, the whole prompt runs once per arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steer_assets.lm.forward.intervene import Arm, ArmTable, Reader, Steering, editing
from steer_assets.lm.forward.prefix import Prefix, by_length
from steer_assets.lm.forward.resuming import resuming
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Scope, require_next_token
from steer_assets.lm.forward.stepping import prepare, prepare_edited, rows_at_once, start_rows
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.progress import Meter, OnProgress
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank


@on_every_rank
def next_token_logits(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    arms: Sequence[Arm],
    vectors: Float[np.ndarray, "n d"],
    *,
    scope: Scope = LAST_PROMPT_AND_GENERATED,
    batch_tokens: int = 4096,
    batch_rows: int = 256,
    on_progress: OnProgress = None,
) -> Iterator[tuple[int, Float[np.ndarray, "arms v"]]]:
    """Logits after steering at the last prompt token, float32, prompt by prompt in input order.

    Under a scope of the whole prompt, after steering at its every token. Raises PromptError and
    InterventionError for prompts, layers and vectors that do not fit the model, and for a scope
    under which the next token is not moved. At most ``batch_rows`` rows run at once.
    """
    require_next_token(scope)
    lm.check_prompts(prompts)
    table = ArmTable(lm, arms, vectors)
    meter = Meter(on_progress, len(prompts), "prompts")
    groups = _by_lowest_layer(arms)
    longest = max(map(len, prompts), default=1)
    batch_rows = rows_at_once(lm, batch_rows, longest, whole_prompt=scope.whole_prompt)
    per_batch = max(1, batch_rows // max(1, len(arms)))
    limits = (batch_tokens, batch_rows)
    for start in range(0, len(prompts), per_batch):
        chosen = range(start, min(start + per_batch, len(prompts)))
        tokens = [prompts[i] for i in chosen]
        found = _batch(lm, tokens, len(arms), groups, table, limits, scope)
        for index, logits in zip(chosen, found, strict=True):
            yield index, logits
            meter.advance(1, len(prompts[index]) + len(arms))


def _by_lowest_layer(arms: Sequence[Arm]) -> dict[int | None, list[int]]:
    groups: dict[int | None, list[int]] = {}
    for index, arm in enumerate(arms):
        groups.setdefault(min((a.layer for a in arm), default=None), []).append(index)
    return groups


@torch.inference_mode()
def _batch(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    n_arms: int,
    groups: dict[int | None, list[int]],
    table: ArmTable,
    limits: tuple[int, int],
    scope: Scope,
) -> Float[np.ndarray, "p arms v"]:
    batch_tokens, batch_rows = limits
    out = np.empty((len(prompts), n_arms, lm.vocab_size), dtype=np.float32)
    for batch in by_length(prompts, batch_tokens):
        chosen = [prompts[i] for i in batch]
        prefix = prepare(lm, chosen)
        last = lm.tensor([prompt[-1] for prompt in chosen])
        layers = [layer for layer in groups if layer is not None]
        plain, hidden = unsteered(lm, prefix, last, layers)
        for layer, members in groups.items():
            if layer is None:
                out[np.ix_(batch, members)] = plain.float().cpu().numpy()[:, None]
                continue
            for rows in chunks(len(batch), members, batch_rows):
                logits = steered(lm, prefix, last, layer, hidden[layer], table, rows, scope)
                shape = (len(rows.prompts), len(rows.arms), lm.vocab_size)
                where = np.ix_([batch[p] for p in rows.prompts], rows.arms)
                out[where] = logits.float().cpu().numpy().reshape(shape)
    return out


class Rows(NamedTuple):
    """All combinations of ``prompts`` (within a batch) and ``arms``."""

    prompts: list[int]
    arms: list[int]


def chunks(n_prompts: int, members: list[int], batch_rows: int) -> Iterator[Rows]:
    """Every prompt of a batch with every arm of ``members``, at most ``batch_rows`` at once."""
    width = min(len(members), batch_rows)
    together = max(1, batch_rows // width)
    for p in range(0, n_prompts, together):
        for a in range(0, len(members), width):
            yield Rows(list(range(p, min(p + together, n_prompts))), members[a : a + width])


def unsteered(
    lm: LanguageModel, prefix: Prefix, last: Tensor, layers: list[int]
) -> tuple[Tensor, dict[int, Tensor]]:
    """Logits [rows, v] of a batch, and the residual stream [rows, d] of ``last`` at ``layers``."""
    readers = {layer: Reader() for layer in layers}
    with editing(lm, {layer: reader.edit for layer, reader in readers.items()}):
        rows = start_rows(lm, prefix, torch.arange(len(last), device=last.device), 1)
        logits = rows.step(last)
    return logits, {layer: reader.values() for layer, reader in readers.items()}


def steered(
    lm: LanguageModel,
    prefix: Prefix,
    last: Tensor,
    layer: int,
    hidden: Tensor,
    table: ArmTable,
    rows: Rows,
    scope: Scope = LAST_PROMPT_AND_GENERATED,
) -> Float[Tensor, "rows v"]:
    """Logits of ``rows``, from ``hidden`` [prompts, d] at the lowest steered block upwards."""
    prompt_of_row = lm.tensor(rows.prompts).repeat_interleave(len(rows.arms))
    steering = Steering(table, lm.tensor(rows.arms).repeat(len(rows.prompts)))
    if scope.whole_prompt:
        tokens = last[prompt_of_row]
        own = [
            [*prefix.heads[prompt], token]
            for prompt, token in zip(prompt_of_row.tolist(), tokens.tolist(), strict=True)
        ]
        edited = prepare_edited(lm, own, steering.edits())
        every = torch.arange(len(own), device=tokens.device)
        with editing(lm, steering.edits()):
            return start_rows(lm, edited, every, 1).step(tokens)
    with resuming(lm, layer, hidden[prompt_of_row]), editing(lm, steering.edits()):
        return start_rows(lm, prefix, prompt_of_row, 1).step(last[prompt_of_row])
