import numpy as np
import pytest

from steer_assets.geometry.errors import DegenerateError, ShapeError
from steer_assets.geometry.null_spaces import ranks
from steer_assets.geometry.null_spaces.spectra import Spectrum
from steer_assets.geometry.null_spaces.stability import (
    Transfer,
    form_null_energy,
    subspace_overlap,
    transfers,
)

from .toys import orthonormal


def edge_rank(spectrum: Spectrum) -> int:
    return ranks.rank(spectrum, "marchenko_pastur")


def environment(rng: np.random.Generator, basis: np.ndarray, shift: float) -> np.ndarray:
    d, r = basis.shape
    signal = rng.standard_normal((80, r)) * 4 @ basis.T
    return signal + 0.1 * rng.standard_normal((80, d)) + shift


def measured(activations: dict[str, np.ndarray]) -> dict[tuple[str, str], Transfer]:
    rows = transfers(activations, rank_of=edge_rank, n_splits=4, rng=np.random.default_rng(0))
    return {(row.fitted_on, row.measured_on): row for row in rows}


def test_a_shared_null_space_carries_over_and_another_does_not() -> None:
    rng = np.random.default_rng(0)
    q = orthonormal(rng, 60, 10)
    rows = measured(
        {
            "in_distribution": environment(rng, q[:, :5], 0.0),
            "topic_shift": environment(rng, q[:, :5], 3.0),
            "genre_shift": environment(rng, q[:, 5:], -2.0),
        }
    )
    assert len(rows) == 9
    own = rows["in_distribution", "in_distribution"]
    same = rows["in_distribution", "topic_shift"]
    other = rows["in_distribution", "genre_shift"]
    assert (own.rank, own.null_dim) == (5, 55)
    assert own.null_energy < 0.1
    # The shift of the mean by 3 in every coordinate is not variation.
    assert same.null_energy < 0.1
    assert same.leading.overlap > 0.95
    assert other.null_energy > 1.0
    assert other.leading.overlap < 0.05
    assert other.leading.expected_overlap == pytest.approx(5 / 60)
    assert other.leading.smallest_angle > 1.3


def test_overlap_of_random_subspaces_is_its_expectation() -> None:
    rng = np.random.default_rng(1)
    overlaps = [
        subspace_overlap(orthonormal(rng, 40, 4), orthonormal(rng, 40, 10)) for _ in range(200)
    ]
    mean = np.mean([entry.overlap for entry in overlaps])
    assert mean == pytest.approx(overlaps[0].expected_overlap, rel=0.1)


def test_overlap_of_a_subspace_with_itself_is_one() -> None:
    a = orthonormal(np.random.default_rng(2), 20, 4)
    entry = subspace_overlap(a, a)
    assert entry.overlap == pytest.approx(1.0)
    assert entry.largest_angle < 1e-12


def test_refusals() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(ShapeError, match="different widths"):
        measured({"a": rng.standard_normal((10, 4)), "b": rng.standard_normal((10, 5))})
    with pytest.raises(DegenerateError, match="constant"):
        measured({"a": rng.standard_normal((10, 4)), "b": np.ones((10, 4))})


def test_form_null_energy_of_planted_forms() -> None:
    rng = np.random.default_rng(3)
    q, _ = np.linalg.qr(rng.normal(size=(10, 10)))
    read_out = q[:, :3] @ np.diag([4.0, 2.0, 1.0]) @ q[:, :3].T
    assert form_null_energy(read_out, q[:, 3:]) == pytest.approx(0.0, abs=1e-12)
    assert form_null_energy(read_out, q[:, 1:3]) == pytest.approx((3 / 7) / (2 / 10))
    assert form_null_energy(np.eye(10), q[:, 4:]) == pytest.approx(1.0)
    assert form_null_energy(read_out, q[:, :0]) == 1.0


def test_form_null_energy_refuses_what_says_nothing() -> None:
    with pytest.raises(ShapeError, match=r"width 4.*width 5"):
        form_null_energy(np.eye(4), np.eye(5)[:, :2])
    with pytest.raises(DegenerateError, match="trace"):
        form_null_energy(np.zeros((4, 4)), np.eye(4)[:, :2])
