"""The finding from a number on a conclusion, and the deciding switch."""

from math import inf

import numpy as np
import pytest
from scipy import stats as scipy_stats

from steer_assets.stats.intervals import jackknife
from steer_assets.stats.validation import Estimate
from steer_assets.stats.verdicts.conclusions import Region, deciding, reading

SMALL = Region(-0.2, 0.2, 0.0)


@pytest.mark.parametrize(
    ("number", "finding"),
    [
        (Estimate(0.05, -0.1, 0.15), "holds"),
        (Estimate(0.1, 0.05, 0.15), "holds"),  # different, and inside the margin
        (Estimate(0.3, 0.1, 0.5), "fails"),  # excludes no difference, not inside
        (Estimate(0.9, 0.6, 1.2), "fails"),
        (Estimate(0.1, -0.1, 0.3), "undecided"),
    ],
)
def test_read_with_a_test(number: Estimate, finding: str) -> None:
    assert reading(number, SMALL, tested=True) == finding


def test_read_as_published_the_value_alone_decides() -> None:
    assert reading(Estimate(0.19, -3, 3), SMALL, tested=False) == "holds"
    assert reading(Estimate(0.21, 0.2, 0.22), SMALL, tested=False) == "fails"


def test_no_finding_without_an_effect_of_v_or_a_scorer_to_trust() -> None:
    for tested in (True, False):
        number = Estimate(0.0, -0.01, 0.01)
        assert reading(number, SMALL, tested=tested, believable=False) == "untestable"


def test_regions_with_one_end() -> None:
    large = Region(0.5, inf)
    assert reading(Estimate(0.9, 0.8, 0.95), large, tested=True) == "holds"
    assert reading(Estimate(0.3, 0.2, 0.4), large, tested=True) == "fails"
    assert reading(Estimate(0.5, 0.4, 0.6), large, tested=True) == "undecided"


def test_a_number_that_any_model_gives_says_nothing() -> None:
    large, number = Region(0.5, inf), Estimate(0.9, 0.85, 0.95)
    assert reading(number, large, tested=True, of_any=0.8) == "undecided"
    assert reading(number, large, tested=True, of_any=0.3) == "holds"
    assert reading(number, large, tested=False, of_any=0.8) == "holds"


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        reading(Estimate(float("nan"), 0, 1), SMALL, tested=True)
    with pytest.raises(ValueError, match="in order"):
        reading(Estimate(0.5, 1, 0), SMALL, tested=True)


def test_the_switch_that_alone_gives_the_controlled_finding_decides() -> None:
    without = {"a": "holds", "b": "undecided", "c": "fails"}
    assert deciding("holds", "fails", without) == ["c"]
    assert deciding("holds", "untestable", without) == ["b", "c"]
    assert deciding("holds", "holds", without) == []
    assert deciding("holds", "fails", {"a": "holds"}) == []


def test_the_jackknife_of_a_mean_is_the_t_interval() -> None:
    x = np.random.default_rng(0).normal(3, 2, size=15)
    left = (x.sum() - x) / 14
    found = jackknife.interval(float(x.mean()), left, level=0.9)
    expected = scipy_stats.t.interval(0.9, 14, x.mean(), scipy_stats.sem(x))
    assert (found.low, found.high) == pytest.approx(expected)
    with pytest.raises(ValueError, match="at least 2"):
        jackknife.interval(0.0, [1.0])
