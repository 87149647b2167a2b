"""Texts in parts: every text once, and to the last bit what all texts together give."""

from __future__ import annotations

import numpy as np
import pytest

from steer_assets.lm.decoding.decode import Sampling
from steer_assets.lm.forward import continuing
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.forward.scope import LAST_PROMPT_AND_GENERATED, Scope
from steer_assets.lm.texts import parts
from steer_assets.lm.texts.gradients import GradientText, text_gradients
from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods

from .conftest import VOCAB

SAMPLING = Sampling(max_new_tokens=6)
SCOPES = [LAST_PROMPT_AND_GENERATED, Scope(whole_prompt=True)]
ARMS = [(), (Addition(1, 0, 0.3),), (Addition(1, 0, 0.3), Addition(3, 1, 0.2))]
POINTS = [(1, ARMS[1]), (1, ()), (3, ())]
#: Batches of prefixes hold two or three of these prompts.
LENGTHS = (4, 7, 4, 9, 7, 4, 2, 9)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuing, "_PREFIX_TOKENS", 20)
    monkeypatch.setattr(parts, "_TEXT_TOKENS", 1)


@pytest.fixture
def prompts() -> list[list[int]]:
    rng = np.random.default_rng(2)
    return [rng.integers(3, VOCAB, size=n).tolist() for n in LENGTHS]


def _lengths(n_choices: int) -> list[tuple[int, int, int]]:
    """Prompt, arm or point, and tokens of texts in no order; the second prompt has none."""
    rng = np.random.default_rng(3)
    found = [(p, c, int(rng.integers(1, 7))) for p in range(len(LENGTHS)) for c in range(n_choices)]
    rng.shuffle(found)
    return [(p, c, n) for p, c, n in found if p != 1]


def _ids(n: int, seed: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(3, VOCAB, size=n).tolist())


def _rows_once(cut: list, n: int) -> None:
    assert sorted(row for part in cut for row in part.rows) == list(range(n))
    assert len(cut) > 4


@pytest.mark.parametrize("scope", SCOPES)
def test_readings_in_parts_are_those_of_all_texts(tiny, prompts, vectors, scope):
    texts = [
        SampledText(p, arm, _ids(n, 10 * p + arm), tuple({0, 1, 2} - {arm}))
        for p, arm, n in _lengths(3)
    ]
    whole = text_likelihoods(tiny, prompts, texts, ARMS, vectors, SAMPLING, scope=scope)
    cut = parts.parts_of_readings(prompts, texts)
    _rows_once(cut, len(texts))
    for part in cut:
        found = text_likelihoods(
            tiny, part.prompts, part.texts, ARMS, vectors, SAMPLING, scope=scope,
            beside=range(len(part.prompts)),
        )  # fmt: skip
        for row, readings in zip(part.rows, found, strict=True):
            assert readings.keys() == whole[row].keys()
            for arm, reading in readings.items():
                assert np.array_equal(reading.log_p, whole[row][arm].log_p)
                assert np.array_equal(reading.kl, whole[row][arm].kl)


@pytest.mark.parametrize("scope", SCOPES)
def test_gradients_in_parts_are_those_of_all_texts(tiny, prompts, vectors, scope):
    texts = [GradientText(p, point, _ids(n, 10 * p + point)) for p, point, n in _lengths(3)]
    arguments = {"points": POINTS, "sampling": SAMPLING, "vectors": vectors, "scope": scope}
    whole = text_gradients(tiny, prompts, texts, batch_tokens=15, **arguments)
    cut = parts.parts_of_gradients(prompts, texts)
    _rows_once(cut, len(texts))
    for part in cut:
        beside = range(len(part.prompts))
        found = text_gradients(
            tiny, part.prompts, part.texts, batch_tokens=15, beside=beside, **arguments
        )
        assert np.array_equal(found, whole[part.rows])
