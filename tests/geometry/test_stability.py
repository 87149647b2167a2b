import numpy as np
import pytest

from steer_assets.geometry.errors import DegenerateError, ShapeError
from steer_assets.geometry.null_spaces.stability import (
    form_null_energy,
    subspace_overlap,
)

from .toys import orthonormal


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
