"""A claim on a family of seeds: opposite seeds cannot cancel, and it comes where it is true."""

import numpy as np
import pytest
from scipy import stats

from steer_assets.stats.effects import seed_effects
from steer_assets.stats.verdicts import equivalence, joint_power
from tests import sizes

SEEDS = (2, 5, 10, 20)
STUDIES = 2000 if sizes.FULL else 200
N, MARGIN, NOISE = 40, 0.2, 0.35


def _study(rng: np.random.Generator, effects: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences [prompts, seeds] in SD, half of their noise shared, and an estimated margin."""
    common, own = rng.normal(size=(N, 1)), rng.normal(size=(N, len(effects)))
    margin = MARGIN + 0.1 * rng.normal(size=N)
    return effects + NOISE * np.sqrt(0.5) * (common + own), margin


def _equivalent(differences: np.ndarray, margin: np.ndarray) -> bool:
    tests = (equivalence.tost(d, margin, skewness_guard=True).p for d in differences.T)
    return all(p < 0.05 for p in tests)


@pytest.mark.parametrize("k", SEEDS)
@pytest.mark.parametrize("size", [0.5, MARGIN])
def test_opposite_seeds_are_seldom_called_equivalent(k: int, size: float):
    rng = np.random.default_rng([k, 3])
    effects = size * (-1.0) ** np.arange(k)
    called = of_mean = 0
    for _ in range(STUDIES):
        differences, margin = _study(rng, effects)
        called += _equivalent(differences, margin)
        of_mean += equivalence.tost(differences.mean(axis=1), margin).p < 0.05
    assert called / STUDIES <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / STUDIES)
    if k % 2 == 0:  # the test of the signed mean on the same studies
        assert of_mean / STUDIES > 0.5


@pytest.mark.parametrize("k", SEEDS)
def test_seeds_that_all_agree_are_shown_as_often_as_the_power_says(k: int):
    rng = np.random.default_rng([k, 4])
    trials = 2 * STUDIES
    called = sum(_equivalent(*_study(rng, np.zeros(k))) for _ in range(trials)) / trials
    large = [_study(rng, np.zeros(k)) for _ in range(500)]
    design = joint_power.design(
        np.concatenate([d for d, _ in large]), np.concatenate([m for _, m in large])
    )
    stated = joint_power.power(design, n=N)
    assert 0.2 < stated < 0.97
    allowed = 0.03 + 2.5 * np.sqrt(stated * (1 - stated) / trials)
    assert called == pytest.approx(stated, abs=0.03 if sizes.FULL else allowed)


@pytest.mark.parametrize("k", [2, 20])
def test_the_root_mean_square_does_not_cancel_and_its_bound_holds(k: int):
    rng = np.random.default_rng([k, 5])
    held, values = 0, []
    for _ in range(STUDIES):
        differences, _ = _study(rng, 0.3 * (-1.0) ** np.arange(k))
        found = seed_effects.root_mean_square(differences, n_boot=300, rng=rng)
        values.append(found.value)
        held += found.upper >= 0.3
    assert np.mean(values) == pytest.approx(0.3, abs=0.015)
    assert held / STUDIES >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / STUDIES)


def test_noise_alone_has_a_root_mean_square_near_zero():
    rng = np.random.default_rng(6)
    found = [
        seed_effects.root_mean_square(_study(rng, np.zeros(5))[0], n_boot=200, rng=rng).value ** 2
        for _ in range(100)
    ]
    assert np.mean(found) < 0.2 * NOISE**2 / N * 5


@pytest.mark.parametrize(("inside", "seeds"), [(0, 2), (1, 2), (2, 2), (7, 10), (20, 20)])
def test_share_inside_is_the_exact_binomial_interval(inside: int, seeds: int):
    found = seed_effects.share_inside(inside, seeds)
    exact = stats.binomtest(inside, seeds).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize(("inside", "seeds"), [(-1, 2), (3, 2), (0, 0)])
def test_a_share_of_no_seeds_is_refused(inside: int, seeds: int):
    with pytest.raises(ValueError, match="is no share"):
        seed_effects.share_inside(inside, seeds)
