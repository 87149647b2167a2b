"""Decodes many (prompt, arm, sample) rows at once, with common random numbers.

``alpha * v`` is added at the positions of a scope, by default at the last prompt token and at every
generated token. Rows are batched by prompt length, and batches run in parallel on the cores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float

from steer_assets.lm.decoding.batch import Job, Row, Taken, run_together
from steer_assets.lm.decoding.memory import default_lanes, default_rows
from steer_assets.lm.decoding.noise import NoiseKey
from steer_assets.lm.decoding.sampling import Sampling
from steer_assets.lm.forward.intervene import Arm, ArmTable, Steering
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Scope
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.progress import Meter, OnProgress
from steer_assets.lm.tensor_parallel.every_rank import on_every_rank

__all__ = ["Generation", "Sampling", "generate"]


@dataclass(frozen=True)
class Generation:
    """One row's text. ``token_ids`` include the stop token if there is one; ``text`` does not.

    ``seed`` identifies the noise of (root seed, prompt, sample), the same for every arm.
    ``log_probability`` (nats, all tokens) is that of the text under the distribution it was sampled
    from: the steered model at the sampling temperature, restricted to the nucleus and renormalised;
    at temperature 0 the steered model itself. ``least_token_log_probability`` is that of the least
    likely token, which is token number ``least_token`` of the text, from 0.
    """

    prompt: int
    arm: int
    sample: int
    token_ids: list[int]
    text: str
    finish_reason: str
    seed: int
    log_probability: float
    least_token_log_probability: float
    least_token: int


@on_every_rank
def generate(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    arms: Sequence[Arm],
    vectors: Float[np.ndarray, "n d"],
    sampling: Sampling,
    *,
    scope: Scope = LAST_PROMPT_AND_GENERATED,
    prompt_keys: Sequence[str] | None = None,
    pairs: Sequence[tuple[int, int]] | None = None,
    batch_rows: int | None = None,
    on_progress: OnProgress = None,
) -> list[Generation]:
    """Generate ``n_samples`` texts for every (prompt, arm), ordered by (prompt, arm, sample).

    ``prompt_keys`` name prompts for the noise (their token ids where omitted); ``pairs`` limits to
    (prompt, arm) combinations; ``batch_rows`` bounds rows at once, by default chosen from the
    machine's memory and cores. Raises PromptError and InterventionError for prompts, layers and
    vectors that do not fit the model.
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
    job = Job(lm, prompts, Steering(table), sampling, keys, scope)
    longest = max(map(len, prompts), default=1)
    size = batch_rows or default_rows(lm, longest, sampling.max_new_tokens)
    meter = Meter(on_progress, len(rows) * sampling.max_new_tokens, "tokens")
    taken = _decode(job, rows, size, meter)
    return [_generation(job, row, taken[row]) for row in rows]


def _decode(job: Job, rows: list[Row], size: int, meter: Meter) -> dict[Row, Taken]:
    """Tokens of all rows, at most ``size`` rows at once."""
    taken: dict[Row, Taken] = {}
    n_lanes = default_lanes(job.lm, min(size, len(rows)))
    waiting = _batches(rows, job.prompts, size // n_lanes, n_lanes)[::-1]
    while waiting:
        together = [waiting.pop() for _ in range(min(n_lanes, len(waiting)))]
        found = _run(job, together, meter)
        if found is None:
            waiting += [half for rows in together[::-1] for half in _halves(rows)[::-1]]
        else:
            taken |= found
    return taken


def _run(job: Job, batches: list[list[Row]], meter: Meter) -> dict[Row, Taken] | None:
    """The rows' tokens; None if the device's memory was too small for all of them.

    Rows are independent of each other, so splitting a batch changes no text.
    """
    done = meter.done
    try:
        return run_together(job, batches, meter)
    except torch.OutOfMemoryError:
        if max(map(len, batches)) == 1 or job.lm.ranks is not None:  # others may have room
            raise
    meter.done = done
    torch.cuda.empty_cache()
    return None


def _halves(rows: list[Row]) -> list[list[Row]]:
    middle = len(rows) // 2
    return [half for half in (rows[:middle], rows[middle:]) if half]


def _generation(job: Job, row: Row, taken: Taken) -> Generation:
    ids, log_p = taken.ids, taken.log_p
    least = min(range(len(log_p)), key=log_p.__getitem__)
    return Generation(
        *row,
        token_ids=ids,
        text=job.lm.decode(ids),
        finish_reason="stop" if ids[-1] in job.lm.stop_ids else "length",
        seed=job.keys[row.prompt, row.sample].seed,
        log_probability=math.fsum(log_p),
        least_token_log_probability=log_p[least],
        least_token=least,
    )


def _name(prompt: Sequence[int]) -> str:
    return " ".join(map(str, prompt))


def _rows(
    n_prompts: int, n_arms: int, n_samples: int, pairs: Sequence[tuple[int, int]] | None
) -> list[Row]:
    if pairs is None:
        chosen = [(p, a) for p in range(n_prompts) for a in range(n_arms)]
    else:
        chosen = sorted(set(pairs))
        for p, a in chosen:
            if not (0 <= p < n_prompts and 0 <= a < n_arms):
                raise ValueError(
                    f"pair ({p}, {a}) is outside {n_prompts} prompts and {n_arms} arms"
                )
    return [Row(p, a, s) for p, a in chosen for s in range(n_samples)]


def _batches(
    rows: list[Row], prompts: Sequence[Sequence[int]], size: int, n_lanes: int
) -> list[list[Row]]:
    """Batches of at most ``size`` rows of similar prompt length, in equal shares for all lanes."""
    ordered = sorted(rows, key=lambda row: (len(prompts[row.prompt]), row))
    n_batches = n_lanes * -(-len(rows) // (n_lanes * size))
    edges = np.linspace(0, len(rows), n_batches + 1).astype(int).tolist()
    return [ordered[first:end] for first, end in pairwise(edges) if end > first]
