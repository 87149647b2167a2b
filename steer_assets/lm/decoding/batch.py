"""Batches of rows, decoded from the first to the last token.

Prompts are prefilled once up to their last token; all rows of a batch then advance one token per
step. Finished rows are retired and the batch is compacted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from steer_assets.lm.decoding.noise import NoiseKey, exponentials
from steer_assets.lm.decoding.sampling import Drawn, Sampling, greedy, race
from steer_assets.lm.forward.intervene import Steering, editing
from steer_assets.lm.forward.prefix import Prefix
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Reach, Scope
from steer_assets.lm.forward.stepping import Rows, prepare, prepare_edited, start_rows, stepping
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.progress import Meter
from steer_assets.lm.tensor_parallel.every_rank import agreed
from steer_assets.parallel_batches import side_by_side


class Row(NamedTuple):
    """One text to generate: positions of its prompt and arm, and the number of its sample."""

    prompt: int
    arm: int
    sample: int


@dataclass(frozen=True)
class Taken:
    """Token ids of one row so far, and the log-probability (nats) at which each was sampled."""

    ids: list[int] = field(default_factory=list)
    log_p: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """State shared by all batches of a call; each thread steers its own rows."""

    lm: LanguageModel
    prompts: Sequence[Sequence[int]]
    steering: Steering
    sampling: Sampling
    keys: dict[tuple[int, int], NoiseKey]
    scope: Scope = LAST_PROMPT_AND_GENERATED


@torch.inference_mode()
def run_together(job: Job, batches: Sequence[Sequence[Row]], meter: Meter) -> dict[Row, Taken]:
    """Tokens of the rows of all batches, which run in parallel over prefixes computed once."""
    prefix, place = _prefixes(job, [row for rows in batches for row in rows])
    runs = [partial(_Batch(job, rows, prefix, place).run, meter) for rows in batches]
    found: dict[Row, Taken] = {}
    with stepping(job.lm), editing(job.lm, job.steering.edits()):
        for taken in side_by_side(runs):
            found |= taken
    return found


def _prefixes(job: Job, rows: Sequence[Row]) -> tuple[Prefix, dict[tuple[int, int], int]]:
    """Prefixes of the rows, and the place of each (prompt, arm) among them.

    One for each prompt; if arms edit the whole prompt, one for each prompt and arm.
    """
    pairs = list(dict.fromkeys((row.prompt, row.arm) for row in rows))
    if job.scope.whole_prompt:
        steering = Steering(job.steering.table, job.lm.tensor([arm for _, arm in pairs]))
        own = [job.prompts[prompt] for prompt, _ in pairs]
        prefix = prepare_edited(job.lm, own, steering.edits())
        return prefix, {pair: index for index, pair in enumerate(pairs)}
    chosen = list(dict.fromkeys(prompt for prompt, _ in pairs))
    at = {prompt: index for index, prompt in enumerate(chosen)}
    # Before any hook is set, because prefixes are unsteered.
    prefix = prepare(job.lm, [job.prompts[i] for i in chosen])
    return prefix, {(prompt, arm): at[prompt] for prompt, arm in pairs}


class _Batch:
    """Rows that are decoded together."""

    def __init__(
        self,
        job: Job,
        rows: Sequence[Row],
        prefix: Prefix,
        place: dict[tuple[int, int], int],
    ) -> None:
        self._job, self._rows = job, rows
        self._prefix, self._place = prefix, place

    @torch.inference_mode()  # the mode is per thread
    def run(self, meter: Meter) -> dict[Row, Taken]:
        """The tokens of every row."""
        job, limit = self._job, self._job.sampling.max_new_tokens
        state = self._start(limit)
        taken = [Taken() for _ in self._rows]
        live = list(range(len(self._rows)))
        reach = Reach(job.scope, [job.prompts[row.prompt] for row in self._rows])
        texts = [own.ids for own in taken]
        tokens = job.lm.tensor([job.prompts[row.prompt][-1] for row in self._rows])
        arm_of_row = job.lm.tensor([row.arm for row in self._rows])
        job.steering.set_rows(arm_of_row)
        for step in range(limit):
            edited = reach.at(live, texts)
            on_device = None if edited is None else torch.tensor(edited, device=tokens.device)
            drawn = self._choose(state.step(tokens, on_device), live, step)
            tokens = agreed(job.lm, drawn.tokens)
            drawn = drawn._replace(tokens=tokens)
            kept = self._take(drawn, live, taken, limit - step - 1, meter)
            if not kept:
                break
            if _worth_retiring(len(live), len(kept), limit - step - 1):
                index = job.lm.tensor(kept)
                live = [live[at] for at in kept]
                tokens = tokens[index]
                state.keep(index)
                job.steering.set_rows(arm_of_row[job.lm.tensor(live)])
        return dict(zip(self._rows, taken, strict=True))

    def _take(
        self,
        drawn: Drawn,
        live: list[int],
        taken: list[Taken],
        n_left: int,
        meter: Meter,
    ) -> list[int]:
        """Select a token for every live row; returns which rows continue."""
        stop_ids = self._job.lm.stop_ids
        kept: list[int] = []
        n_taken = n_spared = 0
        tokens, log_p = drawn.tokens.tolist(), drawn.log_p.tolist()
        for at, (row, token) in enumerate(zip(live, tokens, strict=True)):
            own = taken[row]
            if own.ids and own.ids[-1] in stop_ids:
                continue  # finished, but not yet retired
            own.ids.append(token)
            own.log_p.append(log_p[at])
            n_taken += 1
            if token in stop_ids:
                n_spared += n_left
            elif n_left:
                kept.append(at)
        meter.advance(n_taken + n_spared, n_taken)
        return kept

    def _start(self, capacity: int) -> Rows:
        lm = self._job.lm
        prompt_of_row = lm.tensor([self._place[row.prompt, row.arm] for row in self._rows])
        return start_rows(lm, self._prefix, prompt_of_row, capacity)

    def _choose(self, logits: Float[Tensor, "rows v"], live: list[int], step: int) -> Drawn:
        job = self._job
        if job.sampling.temperature == 0:
            return greedy(logits)
        pairs = [(self._rows[row].prompt, self._rows[row].sample) for row in live]
        distinct = {pair: index for index, pair in enumerate(dict.fromkeys(pairs))}
        noise = exponentials([job.keys[pair] for pair in distinct], step, logits.shape[-1])
        gumbel = torch.from_numpy(noise).log_().neg_().to(logits.device)
        key_of_row = job.lm.tensor([distinct[pair] for pair in pairs])
        return race(logits, gumbel, key_of_row, job.sampling.temperature, job.sampling.top_p)


def _worth_retiring(n_live: int, n_kept: int, n_left: int) -> bool:
    """Whether compacting the batch (half a step's time) saves more time than it costs."""
    return (n_live - n_kept) * n_left > 0.5 * n_live
