"""Looks spend their stated level, and p-values of looks are valid."""

import numpy as np
import pytest
from scipy import stats

from steer_assets.stats.sequential.looks import conditional_power, sequential_p
from steer_assets.stats.sequential.spending import nominal_levels, spent

LOOKS = (0.3, 0.6, 1.0)


def _paths(n_studies: int, n: int, mean: float, seed: int = 5) -> np.ndarray:
    """One-sided z statistics [studies, looks] of studies of ``n`` prompts of unit variance."""
    x = np.random.default_rng(seed).normal(mean, 1, (n_studies, n))
    sums = x.cumsum(axis=1)
    at = [round(t * n) for t in LOOKS]
    return np.stack([sums[:, k - 1] / np.sqrt(k) for k in at], axis=1)


def test_the_whole_level_is_spent_at_the_end_and_little_before():
    assert spent(0.025, 1.0) == pytest.approx(0.025)
    # Published values for t = 1/3 and 2/3 at a one-sided 0.025 (z = 3.71, 2.51, 1.99).
    found = stats.norm.isf(nominal_levels(0.025, (1 / 3, 2 / 3, 1.0)))
    assert found == pytest.approx([3.7103, 2.5114, 1.9930], abs=2e-3)


def test_one_look_is_the_fixed_test():
    assert nominal_levels(0.05, (1.0,)) == pytest.approx((0.05,))
    assert sequential_p([0.031], [1.0]) == 0.031


def test_a_true_hypothesis_is_rejected_as_often_as_the_level_says():
    p = stats.norm.sf(_paths(40_000, 100, 0.0))
    for level in (0.05, 0.025):
        rejected = (p <= np.array(nominal_levels(level, LOOKS))).any(axis=1).mean()
        assert rejected == pytest.approx(level, abs=3 * np.sqrt(level / 40_000))


def test_the_sequential_p_is_below_a_level_where_the_test_at_that_level_rejects():
    p = stats.norm.sf(_paths(60, 100, 0.2))
    for level in (0.01, 0.05, 0.2):
        by_levels = (p <= np.array(nominal_levels(level, LOOKS))).any(axis=1)
        by_p = np.array([sequential_p(row, LOOKS) <= level for row in p])
        assert (by_levels == by_p).all()


def test_the_sequential_p_never_rises_with_further_looks():
    for row in stats.norm.sf(_paths(20, 100, 0.1)):
        found = [sequential_p(row[: k + 1], LOOKS) for k in range(3)]
        assert found == sorted(found, reverse=True)


def test_little_power_is_given_up_against_the_fixed_test():
    mean = (stats.norm.isf(0.05) + stats.norm.isf(0.2)) / 10  # fixed power 0.8 at n = 100
    z = _paths(20_000, 100, mean)
    rejected = (stats.norm.sf(z) <= np.array(nominal_levels(0.05, LOOKS))).any(axis=1).mean()
    assert 0.78 < rejected < 0.805


def test_conditional_power_is_what_simulation_gives():
    z, t, n = 0.8, 0.3, 200_000
    rng = np.random.default_rng(3)
    drift = z / np.sqrt(t)
    end = np.sqrt(t) * z + (1 - t) * drift + np.sqrt(1 - t) * rng.normal(size=n)
    bound = stats.norm.isf(nominal_levels(0.05, LOOKS)[-1])
    simulated = (end > bound).mean()
    assert conditional_power(float(stats.norm.sf(z)), 0, LOOKS, 0.05) == pytest.approx(
        simulated, abs=0.005
    )
    assert conditional_power(0.9, 1, LOOKS, 0.05) < 0.001
    assert conditional_power(1e-9, 2, LOOKS, 0.05) == 1.0


@pytest.mark.parametrize("looks", [(), (0.5,), (0.6, 0.3, 1.0), (0.0, 1.0), (0.5, 0.5, 1.0)])
def test_looks_rise_to_one(looks):
    with pytest.raises(ValueError, match="looks must rise"):
        nominal_levels(0.05, looks)


def test_what_is_no_p_value_is_refused():
    with pytest.raises(ValueError, match="2 p-values for 1 looks"):
        sequential_p([0.1, 0.2], [1.0])
    with pytest.raises(ValueError, match="lie in"):
        sequential_p([1.2], LOOKS)
