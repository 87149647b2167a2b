import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from steer_assets.stats.verdicts import equivalence, margins

from .frozen import TOST, arms


@pytest.mark.parametrize(("n", "margin", "lower", "upper"), TOST)
def test_tost_is_that_of_statsmodels(n, margin, lower, upper):
    a, b = arms(n)
    found = equivalence.tost(a - b, margin)
    assert found.p == max(found.p_lower, found.p_upper)
    assert found.p_lower == pytest.approx(lower, rel=1e-10)
    assert found.p_upper == pytest.approx(upper, rel=1e-10)


@pytest.mark.parametrize(
    ("n", "margin", "p"),
    [
        (5, 0.2, 0.17051491636867683),
        (5, 1.0, 0.0018562862000599915),
        (20, 0.2, 0.2728069639677084),
        (20, 1.0, 5.3299430172487765e-05),
    ],
)
def test_tost_is_that_of_pingouin(n, margin, p):
    """Results of ``pingouin.tost(a, b, bound=margin, paired=True)`` of pingouin 0.7.0."""
    a, b = arms(n)
    assert equivalence.tost(a - b, margin).p == pytest.approx(p, rel=1e-10)


def test_difference_test_is_that_of_scipy():
    rng = np.random.default_rng(0)
    for n in (2, 3, 30):
        a, b = rng.normal(size=(2, n))
        assert equivalence.difference_p(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_repeated_margin_contributions_are_a_fixed_margin():
    values = np.random.default_rng(1).normal(size=12)
    assert equivalence.tost(values, np.full(12, 0.3)) == equivalence.tost(values, 0.3)


def test_relative_margin_is_the_test_of_a_linear_contrast():
    rng = np.random.default_rng(2)
    efficacy = 1 + 0.4 * rng.normal(size=25)
    values = 0.05 + 0.2 * rng.normal(size=25)
    found = equivalence.tost(values, margins.relative(efficacy))
    contrasts = values + 0.2 * efficacy, 0.2 * efficacy - values
    expected = [stats.ttest_1samp(c, 0, alternative="greater").pvalue for c in contrasts]
    assert (found.p_lower, found.p_upper) == pytest.approx(tuple(expected))


def test_margins_average_to_what_they_are_a_fraction_of():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 30))
    assert margins.standardised(b).size == pytest.approx(0.2 * b.std(ddof=1))
    assert margins.relative(-2 - a, 0.5).mean() == pytest.approx(abs(np.mean(-2 - a)) / 2)


def test_standardised_margin_carries_the_noise_of_a_standard_deviation():
    """SE of the mean contribution against the spread of the margin over 2,000 studies."""
    rng = np.random.default_rng(4)
    arms = rng.normal(size=(2000, 2, 40, 3)) + rng.normal(size=(2000, 1, 40, 1))
    found = [margins.standardised(b) for _, b in arms]
    claimed = np.mean([f.contributions.std(ddof=1) / np.sqrt(40) for f in found])
    assert claimed == pytest.approx(np.std([f.size for f in found]), rel=0.06)


def test_degenerate_differences_give_limits():
    nothing = np.zeros(6)
    assert equivalence.difference_p(nothing) == 1.0
    assert equivalence.tost(nothing, 0.1).p == 0.0
    constant = np.full(6, 0.1)
    assert equivalence.difference_p(constant) == 0.0
    assert equivalence.tost(constant, 0.2).p == 0.0
    assert equivalence.tost(constant, 0.1).p == 1.0
    assert equivalence.tost(constant, 0.05).p == 1.0
    assert equivalence.tost(constant, 0.05, skewness_guard=True).p == 1.0


@pytest.mark.parametrize("margin", [0.0, -0.1, np.nan, np.inf])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ValueError, match="margin must be finite and above 0"):
        equivalence.tost(np.arange(4.0), margin)


def test_contributions_of_other_prompts_are_refused():
    with pytest.raises(ValueError, match="of 3 prompts, differences of 4"):
        equivalence.tost(np.arange(4.0), np.ones(3))


def test_margins_without_a_unit_are_refused():
    with pytest.raises(ValueError, match="every unsteered score is the same"):
        margins.standardised(np.ones(4))
    with pytest.raises(ValueError, match="efficacy is exactly 0"):
        margins.relative(np.zeros(4))


@pytest.mark.parametrize("bad", [[1.0], [1.0, np.nan], [1.0, np.inf]])
def test_bad_differences_are_refused(bad):
    with pytest.raises(ValueError, match="differences"):
        equivalence.tost(bad, 0.2)
    with pytest.raises(ValueError, match="differences"):
        equivalence.difference_p(bad)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-10, 10), min_size=2, max_size=20), st.floats(0.01, 5))
def test_p_values_are_numbers_that_mirror_and_the_guard_never_lowers_them(values, margin):
    x = np.array(values)
    plain = equivalence.tost(x, margin)
    guarded = equivalence.tost(x, margin, skewness_guard=True)
    mirrored = equivalence.tost(-x, margin)
    assert 0 <= plain.p <= guarded.p <= 1
    assert (mirrored.p_lower, mirrored.p_upper) == pytest.approx((plain.p_upper, plain.p_lower))
    assert 0 <= equivalence.difference_p(x) <= 1


def test_the_guard_is_halls_transformation():
    x = np.random.default_rng(6).gamma(1.0, 1.0, size=30)
    values = 0.4 + x.mean() - x
    t = np.sqrt(30) * values.mean() / values.std(ddof=1)
    s = stats.skew(values) / np.sqrt(30)
    expected = stats.t.sf(t + s * t**2 / 3 + s**2 * t**3 / 27 + s / 6, 29)
    found = equivalence.tost(values - 100.0, 100.0, skewness_guard=True)
    assert expected > stats.t.sf(t, 29)
    assert found.p_lower == pytest.approx(expected, rel=1e-8)
