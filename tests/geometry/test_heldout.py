import numpy as np
import pytest

from steer_assets.geometry.errors import DegenerateError, TooFewSamplesError
from steer_assets.geometry.null_spaces import ranks, spectra, subspaces
from steer_assets.geometry.null_spaces.heldout import (
    covariance_energies,
    form_energies,
    moment_energies,
)
from steer_assets.geometry.null_spaces.moments import Moments
from steer_assets.geometry.null_spaces.spectra import form_spectrum

from .reference import heldout_null_energy
from .toys import ReadOut, orthonormal


def test_all_estimators_get_what_one_alone_gets() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 4)) * 3 @ orthonormal(rng, 50, 4).T
    x = x + 0.1 * rng.standard_normal((30, 50))
    pairs = np.repeat(np.arange(15), 2)
    seed = int(np.random.default_rng(1).integers(2**31))
    energies = covariance_energies(x, n_splits=5, seed=seed, groups=pairs)
    assert set(energies) >= {"sigma_1pct", "entropy_rank", "marchenko_pastur"}
    for name, energy in energies.items():
        alone = heldout_null_energy(
            x,
            rank_of=lambda spectrum, name=name: ranks.rank(spectrum, name),
            n_splits=5,
            rng=np.random.default_rng(1),
            groups=pairs,
        )
        assert energy == pytest.approx(alone, rel=1e-9)


def test_forms_that_share_their_range_have_no_held_out_energy_in_its_complement() -> None:
    rng = np.random.default_rng(2)
    toy = ReadOut.draw(rng, d=24, r=5, vocabulary=60)
    forms = np.stack([toy.fisher(0.3 * rng.standard_normal(24)) for _ in range(6)])
    energies = form_energies(forms)
    assert energies["sigma_1pct"] < 1e-9
    assert "marchenko_pastur" not in energies


def test_forms_of_unrelated_directions_are_no_better_than_random() -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((12, 80))
    forms = np.einsum("nd,ne->nde", rows, rows)
    assert form_energies(forms)["sigma_1pct"] == pytest.approx(1.0, abs=0.1)


def test_held_out_share_is_the_trace_in_the_null_space() -> None:
    forms = np.stack([np.diag([4.0, 1.0, 0.0]), np.diag([1.0, 0.0, 3.0])])
    expected = []
    for fitted, held_out in ((forms[1], forms[0]), (forms[0], forms[1])):
        spectrum = form_spectrum(fitted, 1)
        basis = subspaces.null(spectrum, ranks.rank(spectrum, "sigma_1pct"))
        expected.append(np.trace(basis.T @ held_out @ basis) / np.trace(held_out) / (1 / 3))
    assert form_energies(forms)["sigma_1pct"] == pytest.approx(np.mean(expected))


def test_refusals() -> None:
    with pytest.raises(TooFewSamplesError, match="not 1"):
        form_energies(np.eye(3)[None])
    with pytest.raises(DegenerateError, match="prompt 1 is zero"):
        form_energies(np.stack([np.eye(3), np.zeros((3, 3))]))
    with pytest.raises(TooFewSamplesError, match="4 splits of 3 groups"):
        covariance_energies(np.random.default_rng(0).standard_normal((3, 5)), n_splits=4, seed=0)
    with pytest.raises(DegenerateError, match="constant"):
        covariance_energies(np.ones((6, 5)), n_splits=2, seed=0)


def _parts(x: np.ndarray, kept: int) -> list[tuple[Moments, np.ndarray]]:
    parts = []
    for half in np.split(x, 2):
        moments = Moments(x.shape[1])
        moments.update(half)
        parts.append((moments, half[:kept]))
    return parts


def test_moment_energies_are_those_of_two_folds_when_all_samples_are_kept() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 12)) * np.linspace(3.0, 0.1, 12)
    found = moment_energies(_parts(x, 200))
    a, b = np.split(x, 2)
    assert "marchenko_pastur" not in found  # tokens are no independent samples
    for estimator in ("sigma_5pct", "variance_95", "participation_ratio"):
        expected = [
            subspaces.null_energy(
                held - fit.mean(axis=0),
                subspaces.null(
                    spectra.activation_spectrum(fit),
                    ranks.rank(spectra.activation_spectrum(fit), estimator),
                ),
            )
            for fit, held in ((b, a), (a, b))
        ]
        assert found[estimator] == pytest.approx(np.mean(expected), rel=1e-9)


def test_a_few_kept_samples_estimate_the_same_energy() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(4000, 12)) * np.linspace(3.0, 0.1, 12)
    all_kept = moment_energies(_parts(x, 2000))["variance_95"]
    few = moment_energies(_parts(x, 300))["variance_95"]
    assert few == pytest.approx(all_kept, rel=0.15)
    assert all_kept < 0.5


def test_moment_energies_refuse_what_says_nothing() -> None:
    x = np.random.default_rng(7).normal(size=(40, 5))
    parts = _parts(x, 10)
    with pytest.raises(TooFewSamplesError, match="1"):
        moment_energies(parts[:1])
    constant = [(moments, np.tile(parts[1 - i][0].mean, (3, 1))) for i, (moments, _) in
                enumerate(parts)]  # fmt: skip
    with pytest.raises(DegenerateError, match="constant"):
        moment_energies(constant)
