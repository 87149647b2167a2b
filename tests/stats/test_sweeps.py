"""Pairing by common random numbers, slopes over alpha, breaking points of spanning sweeps."""

import numpy as np
import pytest

from steer_assets.stats.sampling_noise import pairing
from steer_assets.stats.verdicts import trends


def test_variance_ratio_is_one_minus_the_correlation_of_the_noise():
    rng = np.random.default_rng(0)
    level, common, own = rng.normal(size=(400, 1)) * 5, *rng.normal(size=(2, 400, 6))
    found = pairing.variance_ratio(level + common, level + 0.8 * common + 0.6 * own, rng=rng)
    assert found.low < 0.2 < found.high
    assert found.ratio == pytest.approx(0.2, abs=0.02)
    assert found.independent_variance == pytest.approx(2.0, abs=0.15)


def test_independent_noise_gains_nothing():
    rng = np.random.default_rng(1)
    found = pairing.variance_ratio(*rng.normal(size=(2, 200, 5)), rng=rng)
    assert found.low < 1.0 < found.high


def test_no_noise_is_nothing_to_compare():
    greedy = np.tile(np.arange(4.0)[:, None], (1, 3))
    with pytest.raises(ValueError, match="no sampling noise"):
        pairing.variance_ratio(greedy, greedy + 1, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="needs 2 samples, got 1"):
        pairing.variance_ratio(greedy[:, :1], greedy[:, :1], rng=np.random.default_rng(0))


def test_slope_is_least_squares_over_all_prompts():
    rng = np.random.default_rng(2)
    alpha = np.array([0.0, 0.5, 1.0, 2.0])
    scores = rng.normal(size=(30, 1)) + 0.7 * alpha + 0.2 * rng.normal(size=(30, 4))
    found = trends.slope(alpha, scores, rng=rng)
    assert found.slope == pytest.approx(np.polyfit(alpha, scores.mean(axis=0), 1)[0])
    assert found.low < 0.7 < found.high
    assert found.p < 1e-10


def test_slope_of_flat_scores_is_zero():
    found = trends.slope([0, 1, 2], np.full((5, 3), 0.3), rng=np.random.default_rng(0))
    assert (found.slope, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_slope_over_prompts_holds_its_size():
    """Prompts answer with slopes of their own around zero; points are not independent."""
    rng = np.random.default_rng(3)
    alpha = np.arange(5.0)
    p = []
    for _ in range(500):
        scores = rng.normal(size=(20, 1)) * alpha + 0.1 * rng.normal(size=(20, 5))
        p.append(trends.slope(alpha, scores, n_boot=100, rng=rng).p)
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.025)


@pytest.mark.parametrize(
    ("verdicts", "holds_to", "broken_from"),
    [
        (["equivalent", "equivalent", "different"], 5, 10),
        (["equivalent", "inconclusive", "different"], 1, 10),
        (["different", "equivalent", "equivalent"], None, 1),
        (["equivalent"] * 3, 10, None),
        (["inconclusive"] * 3, None, None),
    ],
)
def test_breaking_point_lies_between_what_is_shown(verdicts, holds_to, broken_from):
    found = trends.breaking_point([1, 5, 10], verdicts)
    assert (found.holds_to, found.broken_from) == (holds_to, broken_from)


def test_bad_sweeps_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="3 levels, but scores at 2"):
        trends.slope([0, 1, 2], np.zeros((4, 2)), rng=rng)
    with pytest.raises(ValueError, match="all levels are the same"):
        trends.slope([1, 1], np.zeros((4, 2)), rng=rng)
    with pytest.raises(ValueError, match="2 sizes, but 1 verdicts"):
        trends.breaking_point([1, 5], ["equivalent"])
    with pytest.raises(ValueError, match="must ascend"):
        trends.breaking_point([5, 1], ["equivalent", "different"])


def test_variance_ratio_counts_the_noise_of_both_arms():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 300, 6))
    found = pairing.variance_ratio(a, 3 * b, rng=rng)
    assert found.independent_variance == pytest.approx(10.0, rel=0.1)
    assert found.ratio == pytest.approx(1.0, rel=0.1)
