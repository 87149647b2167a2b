"""Rows of whole texts: likelihoods under several arms, and gradients by the steering vector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import published
from benchmarks.measure import compared, rounds
from benchmarks.rows import opened
from benchmarks.workload import LAYER, arms, texts, vectors
from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.texts.gradients import GradientText, text_gradients
from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods

NEW = 40
_SAMPLING = Sampling(NEW)


def likelihoods(folder: Path) -> dict[str, Any]:
    """Texts of v, of three v + v_perp and unsteered, read as `text_divergences` reads them.

    Ours gives the divergence of every token's whole distribution besides.
    """
    lm = opened(folder, "float32")
    prompts = lm.encode(texts()[::25])
    table, every = _around_v(vectors(lm, lm.encode(texts()), 4)), [(), *arms(4)]
    tensors = torch.from_numpy(table).float()
    made = generate(lm, prompts, every, table, _SAMPLING)
    under = {arm: (0, 1) if arm > 1 else tuple(range(5)) for arm in range(5)}
    asked = [SampledText(t.prompt, t.arm, tuple(t.token_ids), under[t.arm]) for t in made]
    readings = [(text, arm) for text in asked for arm in {text.arm, *text.others}]
    sampled = readings[::4]

    def theirs() -> None:
        for text, arm in sampled:
            vector = None if arm == 0 else tensors[arm - 1]
            published.log_probability(
                lm.model, prompts[text.prompt], text.ids, LAYER, vector, _SAMPLING.temperature
            )

    own, other = rounds(
        lambda: text_likelihoods(lm, prompts, asked, every, table, _SAMPLING), theirs
    )
    other = [len(readings) / len(sampled) * t for t in other]
    note = f"texts of {NEW} tokens; published: {len(sampled)} of {len(readings)} forwards timed"
    row = compared(own, other, len(readings), "readings/s", "float32", note)
    return {"text_likelihoods": row, "text_likelihoods_error": _apart(lm, prompts, made, asked)}


def _around_v(table: np.ndarray) -> np.ndarray:
    """v, and v + v_perp of its length."""
    v, others = table[0], table[1:]
    across = others - np.outer(others @ v, v) / (v @ v)
    across *= np.linalg.norm(v) / np.linalg.norm(across, axis=1, keepdims=True)
    return np.vstack([v, v + across])


def _apart(lm: Any, prompts: Any, made: Any, asked: Any) -> float:
    """Largest difference in nats of a text's log-probability at sampling and afterwards."""
    table, every = _around_v(vectors(lm, lm.encode(texts()), 4)), [(), *arms(4)]
    read = text_likelihoods(lm, prompts, asked, every, table, _SAMPLING)
    return max(
        abs(one[text.arm].log_p.sum() - text.log_probability)
        for one, text in zip(read, made, strict=True)
    )


def gradients(folder: Path) -> dict[str, Any]:
    """Gradients by v of one text for each of 32 prompts, at block L/2."""
    lm = opened(folder, "float32")
    prompts = lm.encode(texts()[::3][:32])
    table, at_v = vectors(lm, prompts, 1), arms(1)[0]
    made = generate(lm, prompts, [at_v], table, _SAMPLING)
    asked = [GradientText(t.prompt, 0, tuple(t.token_ids)) for t in made]
    tensor, sampled = torch.from_numpy(table[0]).float(), asked[::4]

    def theirs() -> None:
        for text in sampled:
            published.log_probability_gradient(
                lm.model, prompts[text.prompt], text.ids, LAYER, tensor, _SAMPLING.temperature
            )

    own, other = rounds(
        lambda: text_gradients(lm, prompts, asked, [(LAYER, at_v)], _SAMPLING, vectors=table),
        theirs,
    )
    other = [len(asked) / len(sampled) * t for t in other]
    note = f"texts of {NEW} tokens; published: {len(sampled)} of {len(asked)} texts timed, scaled"
    return {"text_gradients": compared(own, other, len(asked), "texts/s", "float32", note)}
