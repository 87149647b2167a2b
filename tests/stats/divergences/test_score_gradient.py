from __future__ import annotations

import numpy as np
import pytest

from steer_assets.stats.divergences.score_gradient import half_quadratic, score_gradient

D = 6


def _world(rng, prompts, samples):
    """Texts whose gradient is normal, with a score that is linear in it: g = 0.7 times axis 0."""
    s = rng.normal(size=(prompts * samples, D))
    label = np.repeat(np.arange(prompts), samples)
    level = rng.normal(size=prompts)[label]
    return s, 0.7 * s[:, 0] + 5 * level + 100, label


def test_the_gradient_is_found_without_bias_and_its_length_too():
    lengths, slopes = [], []
    for key in range(200):
        found = score_gradient(*_world(np.random.default_rng(key), 20, 2))
        slopes.append(found.by_prompt.mean(axis=0))
        total = found.by_prompt.sum(axis=0)
        square = total @ total - (found.by_prompt**2).sum()
        lengths.append(square / (20 * 19))
    error = np.std(slopes, axis=0, ddof=1) / np.sqrt(len(slopes))
    truth = np.array([0.7, *[0.0] * (D - 1)])
    assert (np.abs(np.mean(slopes, axis=0) - truth) < 4 * error).all()
    assert abs(np.mean(lengths) - 0.49) < 4 * np.std(lengths, ddof=1) / np.sqrt(len(lengths))
    # The plain squared length of so noisy a mean is many times as large.
    assert np.mean(np.square(slopes).sum(axis=1)) > 2 * 0.49


def test_a_constant_score_has_no_gradient():
    s, _, label = _world(np.random.default_rng(0), 10, 2)
    found = score_gradient(s, np.full(len(s), 3.0), label)
    assert (found.vector == 0).all()
    assert found.length is None
    assert found.cosine(np.ones(D)) is None


def test_directions_are_told_apart():
    found = score_gradient(*_world(np.random.default_rng(1), 400, 2))
    rng = np.random.default_rng(2)
    along = found.slope(np.eye(D)[0] * 9, level=0.95, n_boot=500, rng=rng)
    assert along.low < 0.7 < along.high
    across = found.slope(np.eye(D)[1], level=0.95, n_boot=500, rng=rng)
    assert across.high < along.low
    assert found.cosine(np.eye(D)[0]) > 0.6
    assert found.cosine(-np.eye(D)[0]) == -found.cosine(np.eye(D)[0])


def test_half_the_quadratic_form_by_prompt():
    s, _, label = _world(np.random.default_rng(3), 5, 4)
    steps = np.random.default_rng(4).normal(size=(2, D))
    found = half_quadratic(s, label, steps)
    for prompt in range(5):
        own = s[label == prompt]
        form = own.T @ own / len(own)
        np.testing.assert_allclose(found[prompt], [0.5 * e @ form @ e for e in steps])


def test_bad_input_is_named():
    s, scores, label = _world(np.random.default_rng(0), 3, 2)
    with pytest.raises(ValueError, match="two prompts"):
        score_gradient(s, scores, np.zeros(len(s), dtype=int))
    with pytest.raises(ValueError, match="not finite"):
        score_gradient(s, scores * np.nan, label)
    with pytest.raises(ValueError, match="labels"):
        score_gradient(s, scores[1:], label)
    with pytest.raises(ValueError, match="length zero"):
        score_gradient(s, scores, label).slope(
            np.zeros(D), level=0.9, n_boot=200, rng=np.random.default_rng(0)
        )
