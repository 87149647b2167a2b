import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steer_assets.geometry.errors import (
    DegenerateError,
    NotFiniteError,
    ShapeError,
    TooFewSamplesError,
)
from steer_assets.geometry.null_spaces import ranks, subspaces
from steer_assets.geometry.null_spaces.spectra import activation_spectrum

from .reference import heldout_null_energy
from .toys import orthonormal


def low_rank(rng: np.random.Generator, n: int, planted: np.ndarray) -> np.ndarray:
    d, r = planted.shape
    signal = rng.standard_normal((n, r)) * 4 @ planted.T
    return signal + 0.2 * rng.standard_normal((n, d)) + 5.0


def test_leading_and_null_bases_complete_each_other() -> None:
    spectrum = activation_spectrum(np.random.default_rng(0).standard_normal((40, 10)))
    a, b = subspaces.leading(spectrum, 4), subspaces.null(spectrum, 4)
    assert (a.shape, b.shape) == ((10, 4), (10, 6))
    np.testing.assert_allclose(a.T @ b, 0.0, atol=1e-12)
    assert subspaces.leading(spectrum, 0).shape == (10, 0)
    assert subspaces.null(spectrum, 10).shape == (10, 0)
    for rank in (-1, 11):
        with pytest.raises(ShapeError, match=r"0\.\.10"):
            subspaces.leading(spectrum, rank)
        with pytest.raises(ShapeError, match=r"0\.\.10"):
            subspaces.null(spectrum, rank)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    d=st.integers(2, 30),
    seed=st.integers(0, 2**20),
    scale=st.sampled_from([1e-200, 1e-5, 1.0, 1e200]),
)
def test_energy_shares_of_complements_sum_to_one(d: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    q = orthonormal(rng, d, d)
    k = int(rng.integers(0, d + 1))
    v = scale * rng.standard_normal(d)
    share = subspaces.energy_share(v, q[:, :k])
    assert 0.0 <= share <= 1.0
    assert share + subspaces.energy_share(v, q[:, k:]) == pytest.approx(1.0)


def test_energy_share_refusals() -> None:
    basis = np.eye(4)[:, :2]
    with pytest.raises(DegenerateError):
        subspaces.energy_share(np.zeros(4), basis)
    with pytest.raises(ShapeError, match=r"width 3, expected 4"):
        subspaces.energy_share(np.ones(3), basis)
    with pytest.raises(NotFiniteError):
        subspaces.energy_share(np.array([1.0, np.nan, 0.0, 0.0]), basis)


def test_principal_angles_are_the_planted_ones_ascending() -> None:
    planted = np.array([1e-9, 0.3, 1.2])
    q = orthonormal(np.random.default_rng(1), 9, 6)
    a = q[:, :3]
    b = a * np.cos(planted) + q[:, 3:] * np.sin(planted)
    mixed = b @ orthonormal(np.random.default_rng(2), 3, 3)
    np.testing.assert_allclose(subspaces.principal_angles(a, mixed), planted, atol=1e-12)
    with pytest.raises(ShapeError):
        subspaces.principal_angles(a, np.eye(4))
    with pytest.raises(DegenerateError, match="empty"):
        subspaces.principal_angles(a, a[:, :0])


def test_heldout_energy_is_one_where_the_null_space_is_the_samples() -> None:
    rng = np.random.default_rng(3)
    energy = heldout_null_energy(
        rng.standard_normal((80, 200)),
        rank_of=lambda s: ranks.rank(s, "sigma_1pct"),
        n_splits=4,
        rng=rng,
    )
    assert energy == pytest.approx(1.0, abs=0.05)


def test_heldout_energy_is_small_where_the_null_space_is_the_models() -> None:
    rng = np.random.default_rng(4)
    planted = orthonormal(rng, 200, 4)
    x = low_rank(rng, 100, planted)
    energy = heldout_null_energy(
        x,
        rank_of=lambda s: ranks.rank(s, "marchenko_pastur"),
        n_splits=4,
        rng=rng,
    )
    # The planted null space contains only noise and gives the minimum for any fit.
    least = subspaces.null_energy(x - 5.0, np.linalg.svd(planted)[0][:, 4:])
    assert 0 < least < 0.25
    assert least < energy < 1.1 * least


def test_heldout_energy_is_the_same_for_the_same_generator() -> None:
    x = low_rank(np.random.default_rng(5), 40, np.eye(30)[:, :3])

    def measured(seed: int) -> float:
        rng = np.random.default_rng(seed)
        return heldout_null_energy(x, rank_of=lambda s: 3, n_splits=5, rng=rng)

    assert measured(1) == measured(1)
    assert measured(1) != measured(2)


def test_groups_keep_duplicated_prompts_out_of_the_fit() -> None:
    rng = np.random.default_rng(6)
    once = rng.standard_normal((40, 200))
    twice = np.repeat(once, 2, axis=0) + 1e-6 * rng.standard_normal((80, 200))
    pairs = np.repeat(np.arange(40), 2)

    def measured(groups: np.ndarray | None) -> float:
        return heldout_null_energy(
            twice,
            rank_of=lambda s: ranks.rank(s, "sigma_1pct"),
            n_splits=5,
            rng=np.random.default_rng(0),
            groups=groups,
        )

    assert measured(pairs) == pytest.approx(1.0, abs=0.1)
    assert measured(None) < 0.4


def test_an_empty_null_space_claims_nothing() -> None:
    x = np.random.default_rng(7).standard_normal((30, 5))
    rng = np.random.default_rng(0)
    assert heldout_null_energy(x, rank_of=lambda s: 5, n_splits=3, rng=rng) == 1.0


def test_heldout_refusals() -> None:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((6, 4))

    def measure(x: np.ndarray, n_splits: int, groups: np.ndarray | None = None) -> float:
        return heldout_null_energy(
            x, rank_of=lambda s: 1, n_splits=n_splits, rng=rng, groups=groups
        )

    with pytest.raises(TooFewSamplesError, match="7 splits of 6 groups"):
        measure(x, 7)
    with pytest.raises(TooFewSamplesError):
        measure(x, 1)
    with pytest.raises(ShapeError, match="5 group labels for 6"):
        measure(x, 2, np.arange(5))
    with pytest.raises(DegenerateError):
        measure(np.ones((6, 4)), 2)
    with pytest.raises(NotFiniteError):
        measure(np.where(np.eye(6, 4) > 0, np.nan, x), 2)
