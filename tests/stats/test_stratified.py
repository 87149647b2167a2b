"""One bootstrap for paired and unpaired analyses, against independent results."""

import numpy as np
import pytest

from steer_assets.stats.effects import effect_sizes
from steer_assets.stats.intervals.stratified import Arms, estimate, mean_d, mean_share
from steer_assets.stats.validation import Estimate
from steer_assets.stats.verdicts import published

from .reference import cohens_d


def clustered_arms(rng: np.random.Generator, n: int, m: int, shift: float) -> list[np.ndarray]:
    prompt = rng.normal(size=(n, 1))
    shared = 0.3 * rng.normal(size=(n, m))
    return [
        prompt + shared + move + 0.1 * rng.normal(size=(n, m)) for move in (shift, 0.0)
    ]  # a over b


def test_d_is_the_published_one_and_near_the_paired_one() -> None:
    a, b = clustered_arms(np.random.default_rng(0), 60, 4, 0.5)
    found = estimate(
        [Arms([a, b])],
        mean_d([(0, 1)], absolute=False),
        clustered=True,
        rng=np.random.default_rng(1),
    )
    assert found.value == pytest.approx(cohens_d(a, b), abs=1e-12)
    assert found.value == pytest.approx(effect_sizes.paired(a, b).cohens_d, rel=0.05)
    assert found.low < found.value < found.high


def test_pairing_narrows_the_interval_of_arms_that_share_prompts() -> None:
    a, b = clustered_arms(np.random.default_rng(2), 40, 2, 0.3)
    widths = []
    for clustered in (True, False):
        found = estimate(
            [Arms([a, b])],
            mean_d([(0, 1)], absolute=False),
            clustered=clustered,
            rng=np.random.default_rng(3),
        )
        widths.append(found.high - found.low)
    assert widths[0] < 0.5 * widths[1]


def test_repeats_counted_as_independent_make_a_wrong_interval_of_unpaired_arms() -> None:
    """Two arms on different prompts: a level per prompt, hardly any noise within."""
    missed = {True: 0, False: 0}
    for trial in range(120):
        rng = np.random.default_rng([7, trial])
        a, b = (rng.normal(size=(20, 1)) + 0.1 * rng.normal(size=(20, 5)) for _ in range(2))
        for clustered in missed:
            found = estimate(
                [Arms([a, b])],
                mean_d([(0, 1)], absolute=False),
                clustered=clustered,
                n_boot=400,
                rng=rng,
            )
            missed[clustered] += not found.low <= 0 <= found.high
    assert missed[True] <= 14  # 5 % of 120, and Monte Carlo error
    assert missed[False] >= 30


def test_the_size_of_d_cannot_reach_zero_and_means_what_nothing_gives() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 4000, 20, 5))
    values = mean_d([(0, 1)], absolute=True)([a, b])
    assert values.mean() == pytest.approx(published.null_expectation(100), rel=0.04)
    found = estimate(
        [Arms([a[0], b[0]])], mean_d([(0, 1)], absolute=True), clustered=False, rng=rng
    )
    assert found.low > 0


def test_equal_scores_of_a_resample_have_no_spread_to_divide_by() -> None:
    """A resample may consist of one prompt, whose scores then differ by rounding only."""
    a = np.full((1, 12, 1), 0.1)
    assert 0 < a.var() < 1e-30
    assert not np.isfinite(mean_d([(0, 1)], absolute=False)([a, a + 1e-9])).any()


def test_strata_share_no_prompts_and_are_all_resampled() -> None:
    rng = np.random.default_rng(5)
    strata = [Arms([rng.normal(1, 1, (n, 2)), rng.normal(0, 1, (n, 2))]) for n in (12, 30)]
    statistic = mean_d([(0, 1), (2, 3)], absolute=False)
    found = estimate(strata, statistic, clustered=True, rng=np.random.default_rng(6))
    each = [cohens_d(*stratum.tables) for stratum in strata]
    assert found.value == pytest.approx(np.mean(each))
    assert found.low < 1 < found.high


def test_share_with_and_without_a_baseline() -> None:
    rng = np.random.default_rng(8)
    level = 5 + rng.normal(size=(40, 1))
    nothing, v, perp = (
        level + shift + 0.05 * rng.normal(size=(40, 3)) for shift in (0.0, 1.0, 0.0)
    )
    arms = [Arms([v, nothing, perp])]
    with_baseline = estimate(arms, mean_share([2], 0, 1), clustered=True, rng=rng)
    without = estimate(arms, mean_share([2], 0, None), clustered=True, rng=rng)
    assert with_baseline.value == pytest.approx(0.0, abs=0.05)
    # without unsteered texts a vector without effect appears to have five sixths of v's effect
    assert without.value == pytest.approx(published.raw_ratio(perp.ravel(), v.ravel()))
    assert without.low > 0.8


def test_the_same_seed_gives_the_same_interval() -> None:
    a, b = clustered_arms(np.random.default_rng(9), 15, 2, 0.2)

    def again() -> Estimate:
        return estimate(
            [Arms([a, b])],
            mean_d([(0, 1)], absolute=True),
            clustered=True,
            rng=np.random.default_rng(11),
        )

    assert again() == again()


def test_what_cannot_be_resampled_is_refused() -> None:
    rng = np.random.default_rng(0)
    flat = np.zeros((5, 2))
    with pytest.raises(ValueError, match="on the sample itself"):
        estimate([Arms([flat, flat])], mean_d([(0, 1)], absolute=False), clustered=True, rng=rng)
    with pytest.raises(ValueError, match="5, 4"):
        estimate(
            [Arms([rng.normal(size=(5, 2)), rng.normal(size=(4, 2))])],
            mean_d([(0, 1)], absolute=False),
            clustered=True,
            rng=rng,
        )
    with pytest.raises(ValueError, match="no arms"):
        estimate([], mean_d([], absolute=False), clustered=True, rng=rng)
