from collections.abc import Iterator

import numpy as np
import pytest

from steer_assets.geometry.errors import ShapeError, TooFewSamplesError
from steer_assets.geometry.null_spaces import ranks
from steer_assets.geometry.null_spaces.saturation import (
    DimensionPoint,
    covariance_curve,
    doubling_sizes,
    form_curve,
)
from steer_assets.geometry.null_spaces.spectra import form_spectrum

from .toys import orthonormal


def gram_of_rows(rng: np.random.Generator, basis: np.ndarray) -> np.ndarray:
    rows = rng.standard_normal((3, basis.shape[1])) @ basis.T
    return rows.T @ rows


def rank(point: DimensionPoint, estimator: str) -> float:
    return {answer.estimator: answer.value for answer in point.null_spaces}[estimator]


def test_form_curve_is_that_of_the_running_mean() -> None:
    rng = np.random.default_rng(0)
    forms = [gram_of_rows(rng, np.eye(20)) for _ in range(8)]
    points = form_curve(iter(forms), (2, 8))
    assert [point.n_prompts for point in points] == [2, 8]
    expected = ranks.entropy_rank(form_spectrum(np.mean(forms, axis=0), 8))
    assert rank(points[1], "entropy_rank") == pytest.approx(expected)


def test_the_curve_tells_a_saturated_dimension_from_one_that_keeps_growing() -> None:
    rng = np.random.default_rng(1)
    planted = orthonormal(rng, 200, 6)

    def last_two(basis: np.ndarray) -> list[float]:
        forms = (gram_of_rows(rng, basis) for _ in range(32))
        return [rank(point, "sigma_1pct") for point in form_curve(forms, doubling_sizes(32))[-2:]]

    assert last_two(planted) == [6, 6]
    # 3 new independent rows per prompt: twice the prompts, twice the rank.
    assert last_two(np.eye(200)) == [48, 96]


def test_covariance_curve_shows_the_sampling_floor_falling() -> None:
    rng = np.random.default_rng(3)
    points = covariance_curve(rng.standard_normal((64, 100)), doubling_sizes(64), rng=rng)
    assert [point.n_prompts for point in points] == [4, 8, 16, 32, 64]
    assert [rank(point, "sigma_1pct") for point in points] == [3, 7, 15, 31, 63]
    assert points[-1].null_spaces[0].sampling_floor == pytest.approx(1 - 63 / 100)


def test_only_the_prompts_needed_are_taken() -> None:
    taken = 0

    def stream() -> Iterator[np.ndarray]:
        nonlocal taken
        for _ in range(10):
            taken += 1
            yield np.eye(3)

    form_curve(stream(), (1, 4))
    assert taken == 4


def test_doubling_sizes() -> None:
    assert doubling_sizes(100) == (6, 12, 25, 50, 100)
    assert doubling_sizes(4) == (4,)
    with pytest.raises(TooFewSamplesError, match="got 3"):
        doubling_sizes(3)


def test_refusals() -> None:
    rng = np.random.default_rng(4)
    with pytest.raises(TooFewSamplesError, match="goes to 5 prompts, got 2"):
        form_curve([np.eye(3)] * 2, (1, 5))
    with pytest.raises(TooFewSamplesError, match="goes to 5 prompts, got 0"):
        form_curve([], (5,))
    with pytest.raises(TooFewSamplesError, match="goes to 11 prompts, got 10"):
        covariance_curve(rng.standard_normal((10, 3)), (4, 11), rng=rng)
    with pytest.raises(ShapeError, match="width 3 and 4"):
        form_curve([np.eye(3), np.eye(4)], (2,))
    with pytest.raises(ShapeError, match="ascend"):
        form_curve([np.eye(3)], (2, 2))
    with pytest.raises(ShapeError, match="ascend"):
        form_curve([np.eye(3)], ())
