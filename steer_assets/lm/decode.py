"""Decode many (prompt, arm, sample) rows at once, with common random numbers.

``alpha * v`` is added at the last prompt token and at every generated token. Prompts are prefilled
once up to their last token; all rows then take one token per step. Rows that end are retired and
the batch is compacted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steer_assets.lm.intervene import Arm, ArmTable, Steering, editing
from steer_assets.lm.memory import default_rows
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.noise import NoiseKey, exponentials
from steer_assets.lm.progress import Meter, OnProgress
from steer_assets.lm.sampling import greedy, race
from steer_assets.lm.stepping import Rows, prepare, start_rows


@dataclass(frozen=True)
class Sampling:
    """How to sample: ``temperature`` 0 is greedy; ``top_p`` 1 keeps the whole vocabulary."""

    max_new_tokens: int
    n_samples: int = 1
    temperature: float = 0.8
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.n_samples < 1 or self.seed < 0:
            raise ValueError(
                f"max_new_tokens {self.max_new_tokens} and n_samples {self.n_samples} must be at "
                f"least 1, seed {self.seed} at least 0"
            )
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                f"temperature {self.temperature} must be at least 0, top_p {self.top_p} above 0 "
                "and at most 1"
            )


@dataclass(frozen=True)
class Generation:
    """One row's text. ``token_ids`` include the stop token where there is one; ``text`` does not.

    ``seed`` identifies the noise of (root seed, prompt, sample), the same for every arm.
    """

    prompt: int
    arm: int
    sample: int
    token_ids: list[int]
    text: str
    finish_reason: str
    seed: int


class _Row(NamedTuple):
    prompt: int
    arm: int
    sample: int


def generate(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    arms: Sequence[Arm],
    vectors: Float[np.ndarray, "n d"],
    sampling: Sampling,
    *,
    prompt_keys: Sequence[str] | None = None,
    pairs: Sequence[tuple[int, int]] | None = None,
    batch_rows: int | None = None,
    on_progress: OnProgress = None,
) -> list[Generation]:
    """Generate ``n_samples`` texts for every (prompt, arm), ordered by (prompt, arm, sample).

    ``prompt_keys`` name prompts for the noise (their token ids where omitted); ``pairs`` limits to
    (prompt, arm) combinations; ``batch_rows`` bounds rows at once, by default what the machine's
    memory and cores make best. Raises PromptError and InterventionError for prompts, layers and
    vectors that are not the model's.
    """
    lm.check_prompts(prompts)
    table = ArmTable(lm, arms, vectors)
    names = prompt_keys if prompt_keys is not None else [_name(prompt) for prompt in prompts]
    if len(names) != len(prompts):
        raise ValueError(f"{len(names)} prompt keys for {len(prompts)} prompts")
    rows = _rows(len(prompts), len(arms), sampling.n_samples, pairs)
    keys = {
        (row.prompt, row.sample): NoiseKey.of(sampling.seed, names[row.prompt], row.sample)
        for row in rows
    }
    size = batch_rows or default_rows(
        lm, max(map(len, prompts), default=1), sampling.max_new_tokens
    )
    meter = Meter(on_progress, len(rows) * sampling.max_new_tokens, "tokens")
    out: dict[_Row, Generation] = {}
    waiting = _batches(rows, prompts, size)[::-1]
    while waiting:
        batch = waiting.pop()
        taken = _run(_Batch(lm, prompts, batch, table, sampling, keys), meter)
        if taken is None:
            half = len(batch) // 2
            waiting += [batch[half:], batch[:half]]
            continue
        for row, ids in taken.items():
            reason = "stop" if ids[-1] in lm.stop_ids else "length"
            seed = keys[row.prompt, row.sample].seed
            out[row] = Generation(*row, ids, lm.decode(ids), reason, seed)
    return [out[row] for row in rows]


def _run(batch: _Batch, meter: Meter) -> dict[_Row, list[int]] | None:
    """The rows' token ids; None where the device's memory did not hold them all at once.

    No row depends on its neighbours, so a batch may be split without changing a text.
    """
    done = meter.done
    try:
        return batch.run(meter)
    except torch.OutOfMemoryError:
        if batch.size == 1:
            raise
    meter.done = done
    torch.cuda.empty_cache()
    return None


def _name(prompt: Sequence[int]) -> str:
    return " ".join(map(str, prompt))


def _rows(
    n_prompts: int, n_arms: int, n_samples: int, pairs: Sequence[tuple[int, int]] | None
) -> list[_Row]:
    if pairs is None:
        chosen = [(p, a) for p in range(n_prompts) for a in range(n_arms)]
    else:
        chosen = sorted(set(pairs))
        for p, a in chosen:
            if not (0 <= p < n_prompts and 0 <= a < n_arms):
                raise ValueError(
                    f"pair ({p}, {a}) is outside {n_prompts} prompts and {n_arms} arms"
                )
    return [_Row(p, a, s) for p, a in chosen for s in range(n_samples)]


def _batches(rows: list[_Row], prompts: Sequence[Sequence[int]], size: int) -> list[list[_Row]]:
    ordered = sorted(rows, key=lambda row: (len(prompts[row.prompt]), row))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _worth_retiring(n_live: int, n_kept: int, n_left: int) -> bool:
    """Whether moving the kept rows together (half a step's time) saves more than it costs."""
    return (n_live - n_kept) * n_left > 0.5 * n_live


class _Batch:
    """One batch of rows from first to last token."""

    def __init__(
        self,
        lm: LanguageModel,
        prompts: Sequence[Sequence[int]],
        rows: list[_Row],
        table: ArmTable,
        sampling: Sampling,
        keys: dict[tuple[int, int], NoiseKey],
    ) -> None:
        self._lm, self._sampling, self._keys = lm, sampling, keys
        self._rows = rows
        self.size = len(rows)
        self._chosen = list(dict.fromkeys(row.prompt for row in rows))
        self._prompts = prompts
        self._arm_of_row = lm.tensor([row.arm for row in rows])
        self._steering = Steering(table, self._arm_of_row)

    @torch.inference_mode()
    def run(self, meter: Meter) -> dict[_Row, list[int]]:
        """The token ids of every row."""
        lm, limit = self._lm, self._sampling.max_new_tokens
        # Before any hook is set: a prefix is never steered.
        state = self._start(limit)
        taken: list[list[int]] = [[] for _ in self._rows]
        live = list(range(len(self._rows)))
        tokens = lm.tensor([self._prompts[row.prompt][-1] for row in self._rows])
        with editing(lm, self._steering.edits()):
            for step in range(limit):
                tokens = self._choose(state.step(tokens), live, step)
                kept: list[int] = []
                n_taken = n_spared = 0
                for at, (row, token) in enumerate(zip(live, tokens.tolist(), strict=True)):
                    if taken[row] and taken[row][-1] in lm.stop_ids:
                        continue  # ended before, not yet retired
                    taken[row].append(token)
                    n_taken += 1
                    if token in lm.stop_ids:
                        n_spared += limit - step - 1
                    elif step + 1 < limit:
                        kept.append(at)
                meter.advance(n_taken + n_spared, n_taken)
                if not kept:
                    break
                if _worth_retiring(len(live), len(kept), limit - step - 1):
                    index = lm.tensor(kept)
                    live = [live[at] for at in kept]
                    tokens = tokens[index]
                    state.keep(index)
                    self._steering.set_rows(self._arm_of_row[lm.tensor(live)])
        return dict(zip(self._rows, taken, strict=True))

    def _start(self, capacity: int) -> Rows:
        place = {prompt: index for index, prompt in enumerate(self._chosen)}
        prefix = prepare(self._lm, [self._prompts[i] for i in self._chosen])
        prompt_of_row = self._lm.tensor([place[row.prompt] for row in self._rows])
        return start_rows(self._lm, prefix, prompt_of_row, capacity)

    def _choose(self, logits: Float[Tensor, "rows v"], live: list[int], step: int) -> Tensor:
        if self._sampling.temperature == 0:
            return greedy(logits)
        pairs = [(self._rows[row].prompt, self._rows[row].sample) for row in live]
        distinct = {pair: index for index, pair in enumerate(dict.fromkeys(pairs))}
        noise = exponentials([self._keys[pair] for pair in distinct], step, logits.shape[-1])
        gumbel = torch.from_numpy(noise).log_().neg_().to(logits.device)
        key_of_row = self._lm.tensor([distinct[pair] for pair in pairs])
        return race(logits, gumbel, key_of_row, self._sampling.temperature, self._sampling.top_p)
