import time
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from steer_assets.stats.effects import effect_sizes
from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.verdicts import compare, margins, power


@pytest.fixture
def arms():
    rng = np.random.default_rng(0)
    b = rng.normal(size=(40, 5)) + rng.normal(size=(40, 1))
    return b + 0.1 + 0.3 * rng.normal(size=(40, 5)), b


def test_a_row_is_made_of_the_statistics_it_names(arms):
    a, b = arms
    found = compare.compare(a, b, margin=0.2, rng=np.random.default_rng(1), skewness_guard=False)
    means = a.mean(axis=1), b.mean(axis=1)
    difference = means[0] - means[1]
    interval = bootstrap.mean(difference, rng=np.random.default_rng(1))
    effect = effect_sizes.paired(a, b)
    assert (found.n_prompts, found.n_pairs) == (40, 200)
    assert found.effect == pytest.approx(difference.mean())
    assert (found.cohens_d, found.hedges_g) == (effect.cohens_d, effect.hedges_g)
    assert (found.ci_low, found.ci_high) == pytest.approx((interval.low, interval.high))
    halves = [stats.ttest_1samp(0.2 + s * difference, 0, alternative="greater") for s in (1, -1)]
    assert found.p_equivalence == pytest.approx(max(half.pvalue for half in halves), rel=1e-9)
    assert found.power == pytest.approx(power.tost_power(difference.std(ddof=1), 40, 0.2))
    assert found.margin == 0.2


def test_repeats_of_a_prompt_are_no_evidence():
    """Ten copies of every score leave test and interval where they were."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 20, 1))
    once, often = (
        compare.compare(
            np.repeat(a, k, axis=1),
            np.repeat(b, k, axis=1),
            margin=0.5,
            rng=np.random.default_rng(3),
        )
        for k in (1, 10)
    )
    for name in ("effect", "p_difference", "p_equivalence", "ci_low", "ci_high", "power"):
        assert getattr(often, name) == pytest.approx(getattr(once, name)), name


def test_estimated_margin_is_reported_by_its_size_and_lowers_power(arms):
    a, b = arms
    estimated = margins.standardised(b, 0.03)
    found = compare.compare(a, b, margin=estimated, rng=np.random.default_rng(1))
    fixed = compare.compare(a, b, margin=estimated.size, rng=np.random.default_rng(1))
    assert found.margin == pytest.approx(estimated.size)
    assert found.power < fixed.power


def test_equal_arms_are_the_limit_of_equivalence():
    scores = np.random.default_rng(4).uniform(size=(6, 3))
    found = compare.compare(scores, scores, margin=0.1, rng=np.random.default_rng(0))
    assert (found.effect, found.cohens_d, found.hedges_g) == (0, 0, 0)
    assert (found.p_difference, found.p_equivalence, found.power) == (1.0, 0.0, 1.0)
    assert (found.ci_low, found.ci_high) == (0.0, 0.0)


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("m", [1, 2])
def test_no_number_is_ever_nan(n, m):
    rng = np.random.default_rng([n, m])
    for scale in (0.0, 1e-16, 1.0, 1e12):
        a, b = scale * rng.normal(size=(2, n, m))
        row = asdict(compare.compare(a, b, margin=0.2, rng=rng))
        assert not any(np.isnan(value) for value in row.values()), row


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((1, 5)), np.zeros((1, 5)), "at least 2 values, got 1"),
        (np.zeros((4, 5)), np.zeros((4, 4)), "one shape"),
        (np.full((4, 5), np.nan), np.zeros((4, 5)), "not finite"),
    ],
)
def test_bad_arms_are_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        compare.compare(a, b, margin=0.2, rng=np.random.default_rng(0))


def test_hundreds_of_comparisons_take_seconds(arms):
    """Under 20 ms each at n = 40 and 2,000 resamples; the best of five, the machine is shared."""
    rng, took = np.random.default_rng(0), []
    for _ in range(5):
        start = time.perf_counter()
        compare.compare(*arms, margin=0.2, n_boot=2000, rng=rng)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.02


def test_skewed_differences_are_guarded_unless_told_otherwise():
    a = 0.8 + 0.1 * np.random.default_rng(5).exponential(size=30)
    found, plain = (
        compare.compare(a, np.zeros(30), margin=1.0, rng=np.random.default_rng(0), **options)
        for options in ({}, {"skewness_guard": False})
    )
    assert found.p_equivalence > 2 * plain.p_equivalence
    assert found.p_difference == plain.p_difference
