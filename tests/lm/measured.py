"""Everything that is measured on a model, and written by it, to be compared between two models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steer_assets.lm.decoding.decode import Sampling, generate
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.forward.scope import Scope
from steer_assets.lm.measurements.capture import capture, capture_last
from steer_assets.lm.measurements.derivatives import prompt_forms
from steer_assets.lm.measurements.likelihood import log_probabilities
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.lm.measurements.prepared import PreparedPrompts
from steer_assets.lm.measurements.pushforward import fisher_along
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.texts.gradients import GradientText, text_gradients
from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods
from tests.lm import conftest

TOLERANCE = 1e-4
PROMPTS = [[1, 5, 9, 8, 40, 7], [1, 5, 9, 3], [1, 5, 9, 60, 61, 62, 63, 64, 65, 3]]
VECTORS = 3.0 * np.random.default_rng(1).normal(size=(3, conftest.HIDDEN))
ARMS = [(), (Addition(1, 0, 0.5),), (Addition(2, 1, 1.0), Addition(3, 2, -0.5))]
WHOLE = Scope(whole_prompt=True)
SAMPLING = Sampling(max_new_tokens=6, seed=3)
TEXTS = [[4, 8, 15, 16], [23, 42], [9]]


def _captured(lm: LanguageModel) -> list[np.ndarray]:
    every = capture(lm, PROMPTS, [0, 3], positions="all")
    whole = [np.concatenate(found[layer]) for found in every for layer in (0, 3)]
    arm = {"arm": ARMS[2], "vectors": VECTORS}
    steered = capture_last(lm, PROMPTS, [1, 3], **arm)
    return [*whole, *capture_last(lm, PROMPTS, [1, 2]).values(), *steered.values()]


def logits_of(lm: LanguageModel) -> list[np.ndarray]:
    found = [logits for _, logits in next_token_logits(lm, PROMPTS, ARMS, VECTORS)]
    return found + [x for _, x in next_token_logits(lm, PROMPTS, ARMS, VECTORS, scope=WHOLE)]


def _prepared(lm: LanguageModel) -> list[np.ndarray]:
    prompts = PreparedPrompts(lm, PROMPTS, [1])
    steered = {(i, arm): x for i, arm, x in prompts.steered([ARMS[1]], VECTORS)}
    return [prompts.unsteered, *(steered[key] for key in sorted(steered))]


def _likelihoods(lm: LanguageModel) -> list[np.ndarray]:
    return log_probabilities(lm, PROMPTS, list(enumerate(TEXTS)))


def _text_likelihoods(lm: LanguageModel) -> list[np.ndarray]:
    texts = [SampledText(i, i, tuple(ids), (0, 1, 2)) for i, ids in enumerate(TEXTS)]
    found = [
        text_likelihoods(lm, PROMPTS, texts, ARMS, VECTORS, SAMPLING, scope=scope)
        for scope in (Scope(), WHOLE)
    ]
    readings = [own[arm] for texts in found for own in texts for arm in sorted(own)]
    # A divergence is a small difference of large numbers; its size is that of the probabilities.
    return [x.log_p for x in readings] + [np.concatenate([x.kl for x in readings])]


def _text_gradients(lm: LanguageModel) -> list[np.ndarray]:
    texts = [GradientText(i, i % 2, tuple(ids)) for i, ids in enumerate(TEXTS)]
    points = [(1, ARMS[1]), (0, ARMS[2])]
    return [
        text_gradients(lm, PROMPTS, texts, points, SAMPLING, scope=scope, vectors=VECTORS)
        for scope in (Scope(), WHOLE)
    ]


def _forms(lm: LanguageModel, **others: Any) -> list[np.ndarray]:
    found = prompt_forms(lm, PROMPTS[:2], [0, 2], **others)
    return [form for one in found for form in (*one.jacobian_gram.values(), *one.fisher.values())]


def _forms_elsewhere(lm: LanguageModel) -> list[np.ndarray]:
    steered = _forms(lm, arm=ARMS[1], vectors=VECTORS, row_chunk=20)
    return steered + _forms(lm, scope=WHOLE)


def _along(lm: LanguageModel) -> list[np.ndarray]:
    last = [x for _, x in fisher_along(lm, PROMPTS, 1, VECTORS, offset=VECTORS[0])]
    return last + [x for _, x in fisher_along(lm, PROMPTS, 1, VECTORS, scope=WHOLE)]


MEASURED: dict[str, Callable[[LanguageModel], list[np.ndarray]]] = {
    "activations": _captured,
    "next-token logits": logits_of,
    "prepared prompts": _prepared,
    "likelihoods": _likelihoods,
    "text likelihoods": _text_likelihoods,
    "text gradients": _text_gradients,
    "Jacobian and Fisher forms": _forms,
    "forms, steered and over whole prompts": _forms_elsewhere,
    "Fisher form along steps": _along,
}


#: What the test of `make test` leaves to `make faults`.
LONG = ("likelihoods", "prepared prompts", "forms, steered and over whole prompts")


def _written(lm: LanguageModel, *, few: bool) -> list[tuple[list[int], float]]:
    many = Sampling(max_new_tokens=8, n_samples=2, seed=3)
    first = generate(lm, PROMPTS, ARMS, VECTORS, many, batch_rows=9)
    if few:
        return [(one.token_ids, one.log_probability) for one in first]
    nucleus = Sampling(max_new_tokens=8, temperature=1.0, top_p=0.8, seed=4)
    greedy = Sampling(max_new_tokens=8, temperature=0.0)
    made = [
        *first,
        *generate(lm, PROMPTS, ARMS, VECTORS, nucleus),
        *generate(lm, PROMPTS, ARMS, VECTORS, greedy, scope=WHOLE),
        *generate(lm, PROMPTS, ARMS, VECTORS, many, scope=Scope(first=2)),
    ]
    return [(one.token_ids, one.log_probability) for one in made]


def saved(lm: LanguageModel, folder: Path) -> Path:
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


def equal(one: LanguageModel, two: LanguageModel, *, few: bool = False) -> None:
    for name, measure in MEASURED.items():
        if few and name in LONG:
            continue
        for expected, found in zip(measure(one), measure(two), strict=True):
            off = np.abs(expected - found).max() / np.abs(expected).max()
            assert off < TOLERANCE, f"{name}: {off}"
    for (ids, log_p), (own, own_log_p) in zip(
        _written(one, few=few), _written(two, few=few), strict=True
    ):
        assert ids == own
        assert log_p == pytest.approx(own_log_p, rel=TOLERANCE)
