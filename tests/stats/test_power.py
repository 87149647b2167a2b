import numpy as np
import pytest
from scipy import stats

from steer_assets.stats.verdicts import equivalence, power
from tests.sizes import simulated
from tests.stats.simulate import error


@pytest.mark.parametrize(
    ("sd", "n", "margin", "effect"),
    [(0.3, 15, 0.2, 0.0), (0.5, 40, 0.2, 0.0), (0.3, 25, 0.2, 0.1), (1.0, 2, 5.0, 0.0)],
)
def test_tost_power_is_what_simulation_gives(sd, n, margin, effect):
    rng = np.random.default_rng([n, int(sd * 10)])
    x = effect + sd * rng.normal(size=(simulated(4000), n))
    declared = np.mean([equivalence.tost(values, margin).p < 0.05 for values in x])
    assert power.tost_power(sd, n, margin, effect=effect) == pytest.approx(
        declared, abs=max(0.02, error(0.5, len(x)))
    )


def test_tost_power_at_the_margin_is_the_level():
    assert power.tost_power(0.3, 200, 0.2, effect=0.2) == pytest.approx(0.05, abs=1e-6)
    assert power.tost_power(0.3, 200, 0.2, effect=-0.2) == pytest.approx(0.05, abs=1e-6)


def test_tost_power_meets_the_two_tail_formula_where_the_tails_do_not_overlap():
    """1 - 2 P(one side fails) by the noncentral t, which is exact where power is high."""
    for n in (60, 120):
        away = 0.2 / (0.5 / np.sqrt(n))
        fails = stats.nct.cdf(stats.t.ppf(0.95, n - 1), n - 1, away)
        assert power.tost_power(0.5, n, 0.2) == pytest.approx(1 - 2 * fails, abs=1e-4)


@pytest.mark.parametrize("sd", [0.05, 0.3, 1.5])
def test_sample_size_is_the_smallest_that_reaches_the_power(sd):
    n = power.fewest(lambda n: power.tost_power(sd, n, 0.2), 0.8)
    assert power.tost_power(sd, n, 0.2) >= 0.8
    assert n == 2 or power.tost_power(sd, n - 1, 0.2) < 0.8


def test_limits_are_defined():
    assert power.tost_power(0.0, 10, 0.2) == 1.0
    assert power.tost_power(0.0, 10, 0.2, effect=0.3) == 0.0
    assert power.tost_power(1e6, 10, 0.2) < 1e-12
    assert power.fewest(lambda n: power.tost_power(0.0, n, 0.2), 0.8) == 2


def test_power_never_falls_with_more_prompts_once_there_is_any():
    tost = np.array([power.tost_power(0.4, n, 0.2) for n in range(2, 200)])
    assert np.all(np.diff(tost[tost > 0.05]) >= -1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power.tost_power(0.3, 1, 0.2), "at least 2 prompts, got 1"),
        (lambda: power.tost_power(-0.3, 9, 0.2), "not negative, got -0.3"),
        (lambda: power.tost_power(np.nan, 9, 0.2), "finite and not negative"),
        (lambda: power.tost_power(0.3, 9, 0.0), "margin must be finite and above 0"),
        (lambda: power.fewest(lambda n: 0.1, 0.8), "more than 10000000 prompts"),
    ],
)
def test_bad_questions_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
