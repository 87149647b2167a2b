import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steer_assets.geometry.errors import (
    GeometryError,
    NotFiniteError,
    ShapeError,
    TooFewSamplesError,
)
from steer_assets.geometry.null_spaces.moments import BLOCK_ROWS, Moments


def two_pass(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Extended precision, so that the reference is more precise than the tested result.
    wide = x.astype(np.longdouble)
    mean = wide.mean(axis=0)
    centred = wide - mean
    return mean.astype(np.float64), (centred.T @ centred).astype(np.float64)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_one_pass_equals_two_passes_also_with_a_large_mean(offset: float) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2 * BLOCK_ROWS + 77, 13)) * np.logspace(-2, 2, 13) + offset
    moments = Moments(13)
    for part in np.array_split(x, [1, 5, 900, 3000]):
        moments.update(part)
    mean, scatter = two_pass(x)
    assert moments.n == x.shape[0]
    assert relative_error(moments.mean, mean) < 1e-12
    assert relative_error(moments.scatter, scatter) < 1e-10
    assert np.array_equal(moments.scatter, moments.scatter.T)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    n=st.integers(2, 60),
    dim=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    offset=st.sampled_from([0.0, -7.5, 1e5]),
    seed=st.integers(0, 2**20),
)
def test_any_partition_and_merge_gives_the_moments_of_the_whole(
    n: int, dim: int, cuts: list[int], offset: float, seed: int
) -> None:
    x = np.random.default_rng(seed).standard_normal((n, dim)) + offset
    merged = Moments(dim)
    for part in np.split(x, sorted(min(cut, n) for cut in cuts)):
        other = Moments(dim)
        other.update(part)
        merged.merge(other)
    mean, scatter = two_pass(x)
    assert merged.n == n
    assert relative_error(merged.mean, mean) < 1e-10
    assert relative_error(merged.scatter, scatter) < 1e-10


def test_merge_leaves_the_other_as_it_was() -> None:
    rng = np.random.default_rng(2)
    a, b = Moments(4), Moments(4)
    a.update(rng.standard_normal((5, 4)))
    b.update(rng.standard_normal((6, 4)))
    before = (b.n, b.mean, b.scatter)
    a.merge(b)
    a.update(rng.standard_normal((3, 4)))
    assert b.n == before[0]
    assert np.array_equal(b.mean, before[1])
    assert np.array_equal(b.scatter, before[2])


def test_covariance_is_that_of_numpy_for_float32_and_strided_rows() -> None:
    x = np.random.default_rng(3).standard_normal((50, 8)).astype(np.float32)[::2, ::2]
    moments = Moments(4)
    moments.update(x)
    np.testing.assert_allclose(moments.covariance(), np.cov(x.T.astype(np.float64)), rtol=1e-12)


def test_restored_moments_go_on_where_they_stopped() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((30, 5)), rng.standard_normal((20, 5))
    whole, first = Moments(5), Moments(5)
    whole.update(x)
    first.update(x)
    restored = Moments.restore(first.n, first.mean, first.scatter)
    whole.update(y)
    restored.update(y)
    assert restored.n == whole.n
    np.testing.assert_allclose(restored.scatter, whole.scatter, rtol=1e-13)


def test_a_refused_update_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    moments = Moments(3)
    moments.update(rng.standard_normal((10, 3)))
    mean, scatter = moments.mean, moments.scatter
    bad = rng.standard_normal((2 * BLOCK_ROWS, 3))
    bad[-1, 1] = np.nan
    with pytest.raises(NotFiniteError, match="NaN"):
        moments.update(bad)
    bad[-1, 1] = np.inf
    with pytest.raises(NotFiniteError):
        moments.update(bad)
    assert moments.n == 10
    assert np.array_equal(moments.mean, mean)
    assert np.array_equal(moments.scatter, scatter)


def test_finite_values_whose_sum_overflows_are_accepted() -> None:
    moments = Moments(2)
    moments.update(np.full((4, 2), 6e4, dtype=np.float16))
    assert np.array_equal(moments.mean, np.full(2, np.float64(np.float16(6e4))))


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda: Moments(0), ShapeError),
        (lambda: Moments(3).update(np.zeros((2, 4))), ShapeError),
        (lambda: Moments(3).update(np.zeros(3)), ShapeError),
        (lambda: Moments(3).merge(Moments(4)), ShapeError),
        (lambda: Moments(3).mean, TooFewSamplesError),
        (lambda: Moments(3).covariance(), TooFewSamplesError),
        (lambda: Moments.restore(2, np.zeros(3), np.zeros((4, 4))), ShapeError),
        (lambda: Moments.restore(-1, np.zeros(3), np.zeros((3, 3))), TooFewSamplesError),
    ],
)
def test_refusals(refused, error: type[GeometryError]) -> None:
    with pytest.raises(error):
        refused()
