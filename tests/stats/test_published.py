import numpy as np
import pytest

from steer_assets.stats.verdicts import published

from .reference import cohens_d


def test_null_expectation_is_what_the_specification_says():
    assert round(published.null_expectation(100), 2) == 0.11
    assert round(published.null_expectation(9), 2) == 0.42


@pytest.mark.parametrize("n", [2, 9, 100])
def test_null_expectation_is_what_simulation_gives(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, 6000, n))
    # At n = 2, t has two degrees of freedom and no variance: bounded in probability only.
    found = np.mean([abs(cohens_d(x, y)) for x, y in zip(a, b, strict=True)])
    assert found == pytest.approx(published.null_expectation(n), rel=0.15 if n == 2 else 0.03)


def test_neither_paired_nor_ddof_1_gives_the_published_numbers():
    """The definition is pinned by the second number: with ddof 1 it is 0.39, paired it is 0.29."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20_000, 9))
    pooled = np.sqrt((a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)) / 2)
    effect = a.mean(axis=1) - b.mean(axis=1)
    assert np.abs(effect / pooled).mean() == pytest.approx(0.395, abs=0.01)
    assert np.abs(effect / pooled).mean() * np.sqrt(9 / 8) == pytest.approx(0.42, abs=0.01)


def test_raw_ratio_calls_a_vector_without_effect_nearly_as_good():
    """Both arms score 0.5 unsteered: v adds 0.1, v_perp nothing, and the ratio says 0.83."""
    assert published.raw_ratio(np.full(20, 0.5), np.full(20, 0.6)) == pytest.approx(0.5 / 0.6)
    with pytest.raises(ValueError, match="exactly 0"):
        published.raw_ratio([1.0, 2.0], [1.0, -1.0])


def test_counting_repeats_as_independent_is_too_sure():
    """No difference, but prompts differ: the interval of independent texts covers too seldom."""
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(500):
        # Other prompts in either arm, five texts each.
        a, b = rng.normal(size=(2, 20, 1)) + 0.5 * rng.normal(size=(2, 20, 5))
        found = published.unpaired(a, b, level=0.9)
        inside += found.low <= 0 <= found.high
    assert inside / 500 < 0.7


def test_unpaired_of_constant_arms_is_the_limit():
    same = published.unpaired(np.ones(4), np.ones(4))
    apart = published.unpaired(np.ones(4), np.zeros(4))
    assert (same.low, same.high, same.p) == (0.0, 0.0, 1.0)
    assert (apart.low, apart.high, apart.p) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: published.null_expectation(1), "at least 2 texts per arm, got 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
