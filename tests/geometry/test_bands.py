import numpy as np
import pytest

from steer_assets.geometry.errors import (
    DegenerateError,
    NotFiniteError,
    ShapeError,
    TooFewSamplesError,
)
from steer_assets.geometry.null_spaces.bands import bootstrap_singular_values, spectrum_band
from steer_assets.geometry.null_spaces.spectra import activation_spectrum

from .toys import orthonormal


@pytest.mark.parametrize(("n", "d"), [(40, 12), (12, 40)])
def test_band_is_around_the_spectrum_of_the_data(n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d)) + 10
    band = spectrum_band(x, rng=rng, n_boot=50)
    k = min(n, d)
    assert band.low.shape == band.high.shape == band.singular_values.shape == (k,)
    np.testing.assert_allclose(
        band.singular_values, activation_spectrum(x).singular_values[:k], rtol=1e-9, atol=1e-6
    )
    assert (band.low <= band.high).all()
    assert np.isfinite(band.high).all()


def test_rows_and_gram_give_the_same_resampled_spectra() -> None:
    rng = np.random.default_rng(1)
    narrow = rng.standard_normal((15, 14))
    # The same data turned into a wider space: the Gram path, where n <= d, must agree.
    wide = narrow @ orthonormal(rng, 30, 14).T
    a = bootstrap_singular_values(narrow, rng=np.random.default_rng(2), n_boot=5)
    b = bootstrap_singular_values(wide, rng=np.random.default_rng(2), n_boot=5)
    np.testing.assert_allclose(a, b[:, :14], atol=1e-6)


def test_band_of_well_separated_values_covers_the_truth() -> None:
    truth = np.array([8.0, 4.0, 2.0, 1.0])
    covered = np.zeros(4)
    for seed in range(60):
        rng = np.random.default_rng([3, seed])
        band = spectrum_band(rng.standard_normal((200, 4)) * truth, rng=rng, n_boot=100)
        covered += (band.low <= truth) & (truth <= band.high)
    assert (covered / 60 >= 0.82).all()


def test_prompts_not_tokens_are_resampled() -> None:
    rng = np.random.default_rng(4)
    prompts = rng.standard_normal((20, 3)) * [3, 2, 1]
    tokens = np.repeat(prompts, 15, axis=0)
    by_prompt = spectrum_band(tokens, rng=rng, groups=np.repeat(np.arange(20), 15))
    by_token = spectrum_band(tokens, rng=rng)
    width = by_prompt.high - by_prompt.low
    assert (width > 2.5 * (by_token.high - by_token.low)).all()


def test_refusals() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((10, 3))
    with pytest.raises(TooFewSamplesError, match="3 prompts, got 2"):
        spectrum_band(x, rng=rng, groups=np.repeat([0, 1], 5))
    with pytest.raises(TooFewSamplesError, match="2 resamples, got 1"):
        spectrum_band(x, rng=rng, n_boot=1)
    with pytest.raises(ShapeError, match="9 group labels for 10"):
        spectrum_band(x, rng=rng, groups=np.arange(9))
    with pytest.raises(DegenerateError, match="constant"):
        spectrum_band(np.ones((10, 3)), rng=rng)
    with pytest.raises(NotFiniteError):
        spectrum_band(np.full((10, 3), np.nan), rng=rng)
    with pytest.raises(ValueError, match="level"):
        spectrum_band(x, rng=rng, level=95)
