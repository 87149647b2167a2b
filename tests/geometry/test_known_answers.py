"""The known answers: planted read-outs, isotropic data, a planted Fisher form."""

import numpy as np
import pytest

from steer_assets.geometry import families, kl
from steer_assets.geometry.families import FamilyInputs, FamilyPlan
from steer_assets.geometry.null_spaces import ranks, subspaces
from steer_assets.geometry.null_spaces.spectra import Spectrum, activation_spectrum, form_spectrum

from .reference import predicted_kl
from .toys import ReadOut, orthonormal

NOISE_AWARE = ("marchenko_pastur", "gavish_donoho")


def planted_spectra(rng: np.random.Generator, toy: ReadOut, n: int) -> dict[str, Spectrum]:
    """Activations that move only where the network reads, and its two output forms."""
    r = toy.planted.shape[1]
    h = rng.standard_normal((n, r)) @ toy.planted.T + 3.0
    fisher = np.mean([toy.fisher(0.3 * row) for row in h], axis=0)
    return {
        "covariance": activation_spectrum(h),
        "jacobian": form_spectrum(toy.jacobian_gram(), n),
        "fisher": form_spectrum(fisher, n),
    }


@pytest.mark.parametrize(("d", "r", "n"), [(40, 6, 300), (64, 1, 200), (30, 14, 500)])
def test_all_three_null_spaces_of_a_planted_read_out_are_exact(d: int, r: int, n: int) -> None:
    rng = np.random.default_rng(d)
    toy = ReadOut.draw(rng, d=d, r=r, vocabulary=3 * d)
    truth = np.linalg.svd(toy.planted)[0][:, r:]
    for kind, spectrum in planted_spectra(rng, toy, n).items():
        estimators = ["sigma_1pct", *(NOISE_AWARE if kind == "covariance" else ())]
        for name in estimators:
            rank = ranks.rank(spectrum, name)
            assert (kind, name, d - rank) == (kind, name, d - r)
            angles = subspaces.principal_angles(subspaces.null(spectrum, rank), truth)
            assert angles.shape == (d - r,)
            assert angles.max() < 1e-6


def test_covariance_and_behavioural_null_spaces_are_told_apart() -> None:
    rng = np.random.default_rng(7)
    toy = ReadOut.draw(rng, d=48, r=8, vocabulary=100)
    # Activations vary in a subspace that the network does not read at all.
    unread = np.linalg.svd(toy.planted)[0][:, 8:20]
    covariance = activation_spectrum(rng.standard_normal((400, 12)) @ unread.T)
    fisher = form_spectrum(toy.fisher(np.zeros(48)), 1)
    read = subspaces.leading(fisher, ranks.rank(fisher, "sigma_1pct"))
    varied = subspaces.leading(covariance, ranks.rank(covariance, "marchenko_pastur"))
    assert (read.shape[1], varied.shape[1]) == (8, 12)
    np.testing.assert_allclose(subspaces.principal_angles(read, varied), np.pi / 2, atol=1e-9)


@pytest.mark.parametrize(("n", "d", "r"), [(200, 512, 10), (150, 400, 20), (60, 300, 3)])
def test_noise_aware_rank_is_right_with_fewer_samples_than_dimensions(
    n: int, d: int, r: int
) -> None:
    rng = np.random.default_rng(n)
    signal = rng.standard_normal((n, r)) * np.linspace(3, 8, r) @ orthonormal(rng, d, r).T
    spectrum = activation_spectrum(signal + 0.2 * rng.standard_normal((n, d)))
    answers = {a.estimator: a for a in ranks.null_spaces(spectrum)}
    for name in NOISE_AWARE:
        assert answers[name].found
        assert abs(answers[name].rank - r) <= 0.1 * r
    # The naive estimator sees the samples, not the model: it sits at the floor.
    naive = answers["sigma_1pct"]
    assert naive.rank == n - 1
    assert naive.null_fraction == pytest.approx(naive.sampling_floor)


@pytest.mark.parametrize(
    ("n", "d"), [(30, 400), (100, 200), (120, 120), (121, 120), (300, 120), (5000, 60), (40, 20)]
)
def test_isotropic_data_have_no_null_space_after_the_noise_edge(n: int, d: int) -> None:
    for seed in range(3):
        x = 2.5 * np.random.default_rng([n, d, seed]).standard_normal((n, d)) - 4.0
        answers = {a.estimator: a for a in ranks.null_spaces(activation_spectrum(x))}
        for name in NOISE_AWARE:
            assert not answers[name].found
            assert answers[name].value == 0.0
            assert answers[name].null_fraction == 0.0


def test_isotropic_data_rarely_look_structured_over_many_draws() -> None:
    alarms = 0
    for seed in range(200):
        x = np.random.default_rng([9, seed]).standard_normal((60, 40))
        alarms += ranks.rank(activation_spectrum(x), "marchenko_pastur") != 40
    assert alarms <= 1


def test_planted_fisher_form_separates_null_from_range() -> None:
    rng = np.random.default_rng(11)
    d, r = 60, 12
    toy = ReadOut.draw(rng, d=d, r=r, vocabulary=200)
    h = rng.standard_normal(d)
    positive = rng.standard_normal((40, d)) + 0.3
    negative = rng.standard_normal((40, d))
    v = (positive - negative).mean(axis=0)
    fisher = toy.fisher(h + v)
    spectrum = form_spectrum(fisher, 1)
    rank = ranks.rank(spectrum, "sigma_1pct")
    assert rank == r
    bases = {"fisher": (subspaces.leading(spectrum, rank), subspaces.null(spectrum, rank))}
    plan = FamilyPlan(
        (), (0, 1, 2), (), (), 0, ("base_plus_null", "base_plus_range"), root_entropy=(5,)
    )
    vectors = families.build(FamilyInputs(3, positive, negative, bases), plan)
    assert len(vectors) == 6
    reference = toy.logits(h + v)
    for vector in vectors:
        e = (vector.values - v)[None]
        predicted = predicted_kl(fisher, e)[0]
        measured = kl.distances(toy.logits(h + vector.values)[None], reference)["kl"][0]
        if vector.family == "base_plus_null":
            assert predicted < 1e-12
            assert measured < 1e-12
        else:
            assert predicted > 0.05
            assert measured > 0.05
        small = 1e-3 * e
        if vector.family == "base_plus_range":
            near = kl.distances(toy.logits(h + v + small), reference)["kl"]
            assert abs(np.log(predicted_kl(fisher, small) / near))[0] < 0.1
