import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steer_assets.stats.effects import effect_sizes, standardiser
from tests.sizes import simulated


def test_paired_effect_by_hand():
    a, b = np.array([3.0, 5.0, 4.0, 8.0]), np.array([1.0, 4.0, 4.0, 3.0])
    result = effect_sizes.paired(a, b)
    # Differences 2, 1, 0, 5: mean 2, variance 14/3; variances of the arms 14/3 and 2.
    assert result.n == 4
    assert result.effect == 2.0
    assert result.cohens_d == pytest.approx(2 / np.sqrt((14 / 3 + 2) / 2))
    assert result.d_z == pytest.approx(2 / np.sqrt(14 / 3))
    assert result.se == pytest.approx(np.sqrt(14 / 3 / 4))


def test_small_sample_correction_matches_hedges_table_and_approximation():
    # Hedges (1981), table 2: c(m) at m = 2, 10 and 50 degrees of freedom.
    assert effect_sizes.small_sample_correction(2) == pytest.approx(0.5642, abs=1e-4)
    assert effect_sizes.small_sample_correction(10) == pytest.approx(0.9228, abs=1e-4)
    assert effect_sizes.small_sample_correction(50) == pytest.approx(1 - 3 / (4 * 50 - 1), abs=1e-4)


def test_hedges_g_is_unbiased_where_d_is_not():
    """True d is 0.5, n = 8 prompts, arms correlated by 0.6."""
    rng = np.random.default_rng(0)
    common, own = rng.normal(size=(20_000, 8, 1)), rng.normal(size=(20_000, 8, 2))
    arms = np.sqrt(0.6) * common + np.sqrt(0.4) * own
    found = [effect_sizes.paired(pair[:, 0] + 0.5, pair[:, 1]) for pair in arms[: simulated(6000)]]
    d, g = (np.array([getattr(f, name) for f in found]) for name in ("cohens_d", "hedges_g"))
    error = 3 * g.std() / np.sqrt(len(g))
    assert abs(g.mean() - 0.5) < error
    assert d.mean() - 0.5 > error


@pytest.mark.parametrize("m", [1, 2, 5])
def test_unit_of_d_does_not_depend_on_samples_per_prompt(m):
    """Between-prompt variance 1, within 3: one text's standard deviation is 2 at any m."""
    rng = np.random.default_rng(m)
    squares, studies = [], simulated(2000)
    for _ in range(studies):
        arms = rng.normal(size=(2, 10, 1)) + np.sqrt(3) * rng.normal(size=(2, 10, m))
        squares.append(standardiser.pooled(*arms).sd ** 2)
    assert np.mean(squares) == pytest.approx(4, abs=4 * np.std(squares) / np.sqrt(studies))


@pytest.mark.parametrize("m", [1, 4])
def test_degrees_of_freedom_predict_how_well_the_unit_is_known(m):
    rng = np.random.default_rng(m)
    found = []
    for _ in range(simulated(3000)):
        prompts, noise = rng.normal(size=(20, 1)), rng.normal(size=(20, m))
        a, b = (prompts + 0.8 * noise + 0.6 * rng.normal(size=(20, m)) for _ in range(2))
        unit = standardiser.pooled(a, b)
        found.append((unit.sd**2, unit.df))
    variances, df = np.array(found).T
    expected = 2 * variances.mean() ** 2 / variances.var()
    assert np.median(df) == pytest.approx(expected, rel=0.15)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(-100, 100), min_size=3, max_size=12),
    st.floats(0.01, 100),
    st.floats(-50, 50),
)
def test_effects_keep_sign_under_exchange_and_size_under_change_of_unit(values, scale, shift):
    a = np.array(values)
    b = np.roll(a, 1) * 0.5 + np.arange(len(a))
    one, swapped = effect_sizes.paired(a, b), effect_sizes.paired(b, a)
    other = effect_sizes.paired(scale * a + shift, scale * b + shift)
    assert swapped.effect == -one.effect
    assert swapped.cohens_d == pytest.approx(-one.cohens_d)
    assert other.cohens_d == pytest.approx(one.cohens_d, rel=1e-6, abs=1e-9)
    assert other.hedges_g == pytest.approx(one.hedges_g, rel=1e-6, abs=1e-9)


def test_degenerate_arms_give_limits_and_never_nan():
    same = effect_sizes.paired(np.full(5, 0.3), np.full(5, 0.1 + 0.2))
    assert (same.effect, same.cohens_d, same.d_z, same.hedges_g, same.se) == (0, 0, 0, 0, 0)
    apart = effect_sizes.paired(np.full(5, 1.0), np.zeros(5))
    assert apart.cohens_d == apart.d_z == apart.hedges_g == np.inf
    two = effect_sizes.paired([1.0, 2.0], [0.0, 1.0])
    assert two.d_z == np.inf
    assert np.isfinite(two.hedges_g)
    assert effect_sizes.paired([0.0, 0.0], [1.0, 1.0]).hedges_g == -np.inf


def test_one_prompt_is_refused():
    with pytest.raises(ValueError, match="at least 2 values, got 1"):
        effect_sizes.paired([1.0], [0.0])
