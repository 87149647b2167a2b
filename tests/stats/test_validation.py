import numpy as np
import pytest

from steer_assets.stats import validation


def test_a_value_that_is_not_finite_is_refused_with_its_place():
    scores = np.ones((4, 3))
    scores[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"scores holds 1 values .* \(2, 1\)"):
        validation.table(scores, "scores")


@pytest.mark.parametrize("shape", [(3, 2, 2), (), (3, 0)])
def test_shapes_that_are_no_table_are_refused(shape):
    with pytest.raises(ValueError, match="n_prompts, n_samples"):
        validation.table(np.zeros(shape), "a")


def test_arms_of_other_shapes_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"\(4, 1\), b \(5, 1\)"):
        validation.two_tables(np.zeros(4), np.zeros(5))


def test_differences_of_rounding_size_are_zero_and_real_ones_stay():
    a = np.array([0.1 + 0.2, 1.0, 0.5])
    b = np.array([0.3, 1.0 - 1e-12, 0.25])
    np.testing.assert_array_equal(validation.differences(a, b)[:, 0] == 0, [True, False, False])


def test_spread_of_rounding_size_is_zero():
    assert validation.standard_deviation(np.array([0.1 + 0.2, 0.3, 0.3])) == 0.0
    assert validation.standard_deviation(np.array([0.3, 0.3, 0.3001])) > 0


@pytest.mark.parametrize(("low", "high", "inside"), [(-0.1, 0.1, True), (-0.2, 0.1, False)])
def test_an_interval_that_touches_the_margin_is_not_inside(low, high, inside):
    assert validation.Interval(low, high).inside(0.2) is inside
