"""Properties of every elementary direction, over dimensions, norms, seeds and degenerate inputs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steer_assets.geometry import directions
from steer_assets.geometry.errors import DegenerateError, NotFiniteError, ShapeError

from .toys import orthonormal

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)

dims = st.integers(2, 40)
seeds = st.integers(0, 2**31)
norms = st.sampled_from([1e-200, 1e-8, 0.3, 1.0, 77.0, 1e9, 1e150])


def vector(seed: int, d: int, norm: float) -> np.ndarray:
    return directions.rescaled(np.random.default_rng(seed).standard_normal(d), norm)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(directions.rescaled(a, 1.0) @ directions.rescaled(b, 1.0))


def norm_of(v: np.ndarray) -> float:
    peak = np.abs(v).max()
    return float(np.linalg.norm(v / peak) * peak)


def near(norm: float) -> object:
    return pytest.approx(norm, rel=1e-12, abs=0.0)


@PROPERTY
@given(d=dims, seed=seeds, norm=norms)
def test_orthogonal_is_orthogonal_and_as_long_as_v(d: int, seed: int, norm: float) -> None:
    v = vector(seed, d, norm)
    u = directions.orthogonal(v, np.random.default_rng(seed + 1))
    assert abs(cosine(u, v)) < 1e-14
    assert norm_of(u) == near(norm)


@PROPERTY
@given(d=dims, seed=seeds, exponent=st.integers(-16, 0))
def test_projection_is_exact_also_for_vectors_almost_parallel(
    d: int, seed: int, exponent: int
) -> None:
    v = vector(seed, d, 1.0)
    u = directions.without(v, v + 10.0**exponent * vector(seed + 1, d, 1.0))
    # Relative to what went in; u itself may be rounding alone.
    assert abs(u @ v) <= 1e-15 * max(np.linalg.norm(u), 1e-3)


@PROPERTY
@given(d=dims, seed=seeds, norm=norms)
def test_random_and_matched_have_the_norm_of_v(d: int, seed: int, norm: float) -> None:
    v = vector(seed, d, norm)
    u = directions.random(v, np.random.default_rng(seed + 1))
    assert norm_of(u) == near(norm)
    assert norm_of(directions.matched(v, v + u)) == near(norm)


@PROPERTY
@given(d=dims, seed=seeds, norm=norms, data=st.data())
def test_complement_is_orthonormal_and_orthogonal_to_v(
    d: int, seed: int, norm: float, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, d - 1))
    v = vector(seed, d, norm)
    rows = directions.orthonormal_complement(v, k, np.random.default_rng(seed + 1))
    assert rows.shape == (k, d)
    np.testing.assert_allclose(rows @ rows.T, np.eye(k), atol=1e-13)
    np.testing.assert_allclose(rows @ directions.rescaled(v, 1.0), 0.0, atol=1e-13)
    w = directions.in_span(rows, norm, np.random.default_rng(seed + 2))
    assert norm_of(w) == near(norm)
    unit = directions.rescaled(w, 1.0)
    np.testing.assert_allclose(rows.T @ (rows @ unit), unit, atol=1e-13)


@PROPERTY
@given(d=dims, seed=seeds, norm=norms, data=st.data())
def test_orthogonal_in_stays_in_the_subspace_and_off_v(
    d: int, seed: int, norm: float, data: st.DataObject
) -> None:
    k = data.draw(st.integers(2, d))
    basis = orthonormal(np.random.default_rng(seed + 1), d, k)
    v = vector(seed, d, norm)
    u = directions.orthogonal_in(v, basis, np.random.default_rng(seed + 2))
    assert np.linalg.norm(u) == pytest.approx(1.0, rel=1e-12)
    assert abs(cosine(u, v)) < 1e-13
    np.testing.assert_allclose(basis @ (basis.T @ u), u, atol=1e-13)
    assert norm_of(directions.plus(v, u)) == near(np.sqrt(2) * norm)


@PROPERTY
@given(d=dims, seed=seeds, norm=norms, data=st.data())
def test_own_parts_add_up_to_v(d: int, seed: int, norm: float, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, d - 1))
    q = orthonormal(np.random.default_rng(seed + 1), d, d)
    v = vector(seed, d, norm)
    parts = directions.part_in(v, q[:, :k]) + directions.part_in(v, q[:, k:])
    np.testing.assert_allclose(parts / norm, v / norm, atol=1e-13)


@PROPERTY
@given(
    n=st.integers(2, 12),
    d=st.integers(2, 30),
    seed=seeds,
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_estimated_directions_have_v_norm_and_sign(n: int, d: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    positive = scale * (rng.standard_normal((n, d)) + 0.5)
    negative = scale * rng.standard_normal((n, d))
    v = directions.base(positive, negative)
    np.testing.assert_allclose(v, positive.mean(axis=0) - negative.mean(axis=0), atol=1e-9 * scale)
    for estimate in (directions.pca, directions.logistic):
        u = estimate(positive, negative)
        assert norm_of(u) == near(norm_of(v))
        assert u @ v >= 0
        # A common scale and a common shift of both sides change nothing but the length.
        moved = estimate(3 * positive + 7 * scale, 3 * negative + 7 * scale)
        np.testing.assert_allclose(moved / 3, u, atol=1e-4 * norm_of(v))


def test_pca_is_the_first_uncentred_component() -> None:
    rng = np.random.default_rng(0)
    negative = rng.standard_normal((60, 8))
    differences = np.outer(rng.standard_normal(60) + 3, np.eye(8)[2]) * -5
    u = directions.pca(negative + differences, negative)
    assert cosine(u, -np.eye(8)[2]) == pytest.approx(1.0)


def test_logistic_separates_along_the_planted_normal() -> None:
    rng = np.random.default_rng(1)
    normal = directions.rescaled(rng.standard_normal(10), 1.0)
    x = rng.standard_normal((4000, 10))
    side = x @ normal
    x = x[np.argsort(side)]
    u = directions.logistic(x[2000:], x[:2000])
    assert cosine(u, normal) > 0.99


def test_random_directions_are_isotropic() -> None:
    rng = np.random.default_rng(2)
    v = 5.0 * np.eye(6)[0]
    drawn = np.stack([directions.random(v, rng) for _ in range(4000)]) / 5.0
    np.testing.assert_allclose(drawn.mean(axis=0), 0.0, atol=0.03)
    np.testing.assert_allclose(drawn.T @ drawn / 4000, np.eye(6) / 6, atol=0.02)
    perpendicular = np.stack([directions.orthogonal(v, rng) for _ in range(4000)]) / 5.0
    expected = np.diag([0, 1, 1, 1, 1, 1]) / 5
    np.testing.assert_allclose(perpendicular.T @ perpendicular / 4000, expected, atol=0.02)


def test_generators_are_independent_of_each_other_and_of_order() -> None:
    def draw(*key: object) -> float:
        return float(directions.generator(*key).standard_normal())  # type: ignore[arg-type]

    keys = [
        ((1,), 3, "random", 0),
        ((1,), 3, "random", 1),
        ((1,), 4, "random", 0),
        ((2,), 3, "random", 0),
        ((1,), 3, "orthogonal", 0),
    ]
    forwards = [draw(*key) for key in keys]
    backwards = [draw(*key) for key in reversed(keys)]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == len(keys)


def test_degenerate_inputs_are_refused_by_name() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((5, 4))
    v = np.ones(4)
    with pytest.raises(DegenerateError, match="5 pairs is zero"):
        directions.base(x, x)
    with pytest.raises(DegenerateError, match="5 pairs is zero"):
        directions.pca(x, x)
    with pytest.raises(DegenerateError, match="5 pairs is zero"):
        directions.logistic(x, x)
    with pytest.raises(ShapeError, match="not pairs"):
        directions.base(x, x[:3])
    with pytest.raises(ShapeError, match="no contrast pairs"):
        directions.base(x[:0], x[:0])
    with pytest.raises(NotFiniteError, match="positive holds 1 values"):
        directions.base(np.where(np.eye(5, 4) * [1, 0, 0, 0] > 0, np.nan, x), x)
    with pytest.raises(DegenerateError, match="1 dimension"):
        directions.orthogonal(np.ones(1), rng)
    with pytest.raises(DegenerateError, match="4 orthogonal directions do not fit in the 3"):
        directions.orthonormal_complement(v, 4, rng)
    with pytest.raises(DegenerateError, match="empty"):
        directions.orthogonal_in(v, np.zeros((4, 0)), rng)
    with pytest.raises(DegenerateError, match="dimension 1"):
        directions.orthogonal_in(v, np.eye(4)[:, :1], rng)
    with pytest.raises(DegenerateError, match="no part"):
        directions.part_in(np.array([1.0, 0, 0, 0]), np.eye(4)[:, 1:])
    with pytest.raises(DegenerateError, match="zero norm"):
        directions.random(np.zeros(4), rng)
    with pytest.raises(ShapeError, match="width 4, expected 5"):
        directions.part_in(v, np.eye(5)[:, :2])


def test_one_dimensional_subspace_orthogonal_to_v_is_used_as_it_is() -> None:
    u = directions.orthogonal_in(np.eye(4)[0], np.eye(4)[:, 2:3], np.random.default_rng(0))
    assert np.abs(u).tolist() == [0.0, 0.0, 1.0, 0.0]


def test_a_direction_in_a_span_does_not_depend_on_its_axes() -> None:
    """Where `orthogonal_in` gives another for every rotation of the basis."""
    rng = np.random.default_rng(4)
    basis = np.linalg.qr(rng.normal(size=(9, 5)))[0]
    turned = basis @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    v = rng.normal(size=9)
    one, other = (
        directions.orthogonal_in_span(v, axes, np.random.default_rng(1)) for axes in (basis, turned)
    )
    np.testing.assert_allclose(one, other, atol=1e-12)
    assert np.linalg.norm(one) == pytest.approx(1.0)
    assert abs(one @ v) < 1e-12
    np.testing.assert_allclose(basis @ (basis.T @ one), one, atol=1e-12)
    one, other = (
        directions.orthogonal_in(v, axes, np.random.default_rng(1)) for axes in (basis, turned)
    )
    assert np.abs(one - other).max() > 0.01
