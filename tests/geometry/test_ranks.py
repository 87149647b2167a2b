import numpy as np
import pytest

from steer_assets.geometry.null_spaces import ranks
from steer_assets.geometry.null_spaces.ranks import NullSpace, null_spaces
from steer_assets.geometry.null_spaces.spectra import Spectrum, activation_spectrum, form_spectrum


def by_name(spectrum: Spectrum) -> dict[str, NullSpace]:
    return {a.estimator: a for a in null_spaces(spectrum)}


def test_every_estimator_on_a_spectrum_worked_out_by_hand() -> None:
    spectrum = form_spectrum(np.diag(np.square([10.0, 5.0, 0.4, 0.05])), 3)
    answers = by_name(spectrum)
    assert answers["sigma_1pct"].rank == 3
    assert answers["sigma_5pct"].rank == 2
    # Variances 100, 25, 0.16, 0.0025: shares 0.7987, 0.9985, ...
    assert answers["variance_95"].rank == 2
    assert answers["variance_99"].rank == 2
    share = np.array([10.0, 5.0, 0.4, 0.05]) / 15.45
    assert answers["entropy_rank"].value == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    total = 125.1625
    assert answers["participation_ratio"].value == pytest.approx(
        total**2 / (1e4 + 625 + 0.16**2 + 0.0025**2)
    )
    assert answers["stable_rank"].value == pytest.approx(total / 100)
    assert answers["stable_rank"].rank == 2
    assert "marchenko_pastur" not in answers
    assert "gavish_donoho" not in answers


def test_rank_and_null_dimension_sum_to_the_ambient_dimension() -> None:
    spectrum = activation_spectrum(np.random.default_rng(0).standard_normal((30, 80)))
    answers = null_spaces(spectrum)
    assert len(answers) == 9
    for answer in answers:
        assert answer.rank + answer.null_dim == answer.ambient_dim == 80
        assert answer.null_fraction == answer.null_dim / 80
        assert answer.sampling_floor == pytest.approx(1 - 29 / 80)
        assert all(np.isfinite([answer.threshold, answer.value, answer.null_fraction]))
        assert answer.rank == ranks.rank(spectrum, answer.estimator)


@pytest.mark.parametrize("k", [1, 3, 7, 10, 33, 49, 61])
def test_equal_singular_values_have_every_effective_rank_equal_to_their_number(k: int) -> None:
    form = np.diag(np.repeat([0.09, 0.0], [k, 5]))
    answers = by_name(form_spectrum(form, 1))
    for name in ("entropy_rank", "participation_ratio", "stable_rank"):
        assert answers[name].value == pytest.approx(k)
        # Also where the sum of rounded terms comes out just above k.
        assert (answers[name].rank, answers[name].null_dim) == (k, 5)


def test_the_sampling_floor_is_that_of_the_number_of_samples() -> None:
    assert ranks.covariance_floor(100, 2048) == pytest.approx(1 - 99 / 2048)
    assert ranks.covariance_floor(5000, 2048) == 0.0
    spectrum = activation_spectrum(np.random.default_rng(1).standard_normal((100, 300)))
    assert all(a.sampling_floor == 1 - 99 / 300 for a in null_spaces(spectrum))
    # The floor of an average of forms cannot be computed from the average, so it is unknown, not 0.
    assert all(a.sampling_floor is None for a in null_spaces(form_spectrum(np.eye(3), 100)))


def test_unknown_estimator_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="participation_ratio"):
        ranks.rank(form_spectrum(np.eye(2), 1), "magic")


def test_a_direction_never_used_is_null_even_where_nothing_stands_out() -> None:
    x = np.random.default_rng(2).standard_normal((400, 50))
    x[:, 30:] = 1.0
    answers = by_name(activation_spectrum(x))
    assert not answers["marchenko_pastur"].found
    assert answers["marchenko_pastur"].null_dim == 20
    assert answers["gavish_donoho"].null_dim == 20
