from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from steer_assets.lm.noise import NoiseKey, exponentials
from steer_assets.lm.sampling import race, within_nucleus


def test_noise_depends_on_its_key_and_step_only():
    keys = [NoiseKey.of(0, "a", 0), NoiseKey.of(0, "b", 0), NoiseKey.of(0, "a", 1)]
    together = exponentials(keys, 5, 1000)
    for row, key in enumerate(keys):
        assert np.array_equal(exponentials([key], 5, 1000)[0], together[row])
        assert not np.array_equal(exponentials([key], 6, 1000)[0], together[row])
    assert len({row.tobytes() for row in together}) == 3


def test_noise_is_standard_exponential_and_independent_over_steps():
    key = NoiseKey.of(3, "prompt", 0)
    first, second = exponentials([key], 0, 50_000)[0], exponentials([key], 1, 50_000)[0]
    assert stats.kstest(first, "expon").pvalue > 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


def test_the_race_draws_from_the_softmax():
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0])
    n = 40_000
    noise = np.random.default_rng(0).standard_exponential((n, 4)).astype(np.float32)
    drawn = race(logits.expand(n, 4), torch.from_numpy(-np.log(noise)), torch.arange(n), 0.7, 1.0)
    expected = n * torch.softmax(logits / 0.7, 0).numpy()
    assert stats.chisquare(np.bincount(drawn.numpy(), minlength=4), expected).pvalue > 1e-3


def test_the_nucleus_is_the_smallest_set_that_holds_top_p():
    rng = np.random.default_rng(1)
    # Near-uniform rows need more tokens than the first partial sort holds.
    logits = torch.from_numpy(rng.normal(size=(6, 900)) * np.array([[0.01], [1], [3]] * 2))
    for top_p in (0.3, 0.9, 0.999):
        p = torch.softmax(logits / 0.8, -1)
        kept = torch.isfinite(within_nucleus(logits, 0.8, top_p))
        for row in range(6):
            ordered = p[row].sort(descending=True).values
            size = int(kept[row].sum())
            assert ordered[: size - 1].sum() < top_p <= ordered[:size].sum() + 1e-12
            assert p[row][kept[row]].min() >= ordered[size - 1]
