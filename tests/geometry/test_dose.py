import numpy as np
import pytest

from steer_assets.geometry import kl
from steer_assets.geometry.dose import (
    measured_radius,
    predicted_radius,
    quadratic_limit,
)
from steer_assets.geometry.errors import DegenerateError, GeometryError, NotFiniteError, ShapeError

from .reference import predicted_kl
from .toys import ReadOut

DOSES = np.array([0.25, 0.5, 1.0, 2.0, 4.0])


def test_predicted_radius_is_where_half_the_form_reaches_the_tolerance() -> None:
    form = np.diag([4.0, 1.0, 0.0])
    radius = predicted_radius(form, np.array([0.0, 9.0, 0.0]), 0.02, largest=10)
    assert radius.reached
    assert radius.value == pytest.approx(0.2)
    along = radius.value * np.array([[0.0, 1.0, 0.0]])
    assert predicted_kl(form, along)[0] == pytest.approx(0.02)


def test_a_null_direction_is_harmless_as_far_as_was_tried() -> None:
    radius = predicted_radius(np.diag([4.0, 0.0]), np.array([0.0, 1.0]), 0.1, largest=7.5)
    assert (radius.value, radius.reached) == (7.5, False)
    measured = measured_radius(DOSES, [0.0] * 5, 0.1)
    assert (measured.value, measured.reached) == (4.0, False)


@pytest.mark.parametrize("tolerance", [0.001, 0.013, 0.2, 0.9])
def test_measured_radius_of_a_quadratic_curve_is_exact(tolerance: float) -> None:
    radius = measured_radius(DOSES, 0.08 * DOSES**2, tolerance)
    assert radius.reached
    assert radius.value == pytest.approx(np.sqrt(tolerance / 0.08))


def test_measured_radius_is_the_first_crossing() -> None:
    radius = measured_radius(DOSES, [0.01, 0.5, 0.02, 0.9, 0.02], 0.1)
    assert 0.25 < radius.value < 0.5
    after_none = measured_radius(DOSES, [0.0, 0.0, 0.4, 0.5, 0.6], 0.1)
    assert after_none.value == pytest.approx(0.5)


def test_predicted_and_measured_radius_of_a_read_out_agree() -> None:
    rng = np.random.default_rng(0)
    toy = ReadOut.draw(rng, d=16, r=4, vocabulary=60)
    h = 0.2 * rng.standard_normal(16)
    u = toy.planted[:, 0]
    measured = kl.distances(toy.logits(h + DOSES[:, None] * 0.1 * u), toy.logits(h))["kl"]
    tolerance = 0.001
    found = measured_radius(0.1 * DOSES, measured, tolerance)
    expected = predicted_radius(toy.fisher(h), u, tolerance, largest=0.4)
    assert found.value == pytest.approx(expected.value, rel=0.05)


def test_quadratic_limit_is_the_last_dose_before_the_law_breaks() -> None:
    predicted = 0.08 * DOSES**2
    assert quadratic_limit(DOSES, predicted, predicted * [1, 1.05, 0.95, 0.5, 1]) == 1.0
    assert quadratic_limit(DOSES, predicted, predicted) == 4.0
    assert quadratic_limit(DOSES, predicted, 2 * predicted) == 0.0
    # Both are below the measurable minimum, so they agree.
    assert quadratic_limit(DOSES, np.zeros(5), np.full(5, 1e-14)) == 4.0


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="ascend"):
        measured_radius([1.0, 0.5], [0.1, 0.2], 0.1)
    with pytest.raises(ShapeError, match="ascend"):
        measured_radius([0.0, 0.5], [0.1, 0.2], 0.1)
    with pytest.raises(ShapeError):
        measured_radius([0.5], [0.1, 0.2], 0.1)
    with pytest.raises(GeometryError, match="negative"):
        measured_radius([0.5, 1.0], [-0.1, 0.2], 0.1)
    with pytest.raises(NotFiniteError):
        measured_radius([0.5, 1.0], [np.nan, 0.2], 0.1)
    for tolerance in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(GeometryError, match="tolerance"):
            measured_radius(DOSES, DOSES, tolerance)
    with pytest.raises(GeometryError, match="largest"):
        predicted_radius(np.eye(2), np.ones(2), 0.1, largest=0.0)
    with pytest.raises(DegenerateError):
        predicted_radius(np.eye(2), np.zeros(2), 0.1, largest=1.0)
