import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steer_assets.scoring.embedded.features import Standard, TextFeatures, kernel, stack
from steer_assets.scoring.embedded.surface import NAMES, surface_features


def one(text: str) -> dict[str, float]:
    return dict(zip(NAMES, surface_features([text])[0].tolist(), strict=True))


def test_surface_features_by_hand() -> None:
    informal = one("i can't believe it!! LOL :)  great, right")
    assert informal["contractions per word"] == pytest.approx(1 / 7)
    assert informal["lower-case i per word"] == pytest.approx(1 / 7)
    assert informal["share of words in capitals"] == pytest.approx(1 / 7)
    assert informal["exclamation marks per word"] == pytest.approx(2 / 7)
    assert informal["commas per word"] == pytest.approx(1 / 7)
    assert informal["has repeated end marks"] == informal["has an emoticon"] == 1
    # "i can't believe it" and "LOL :) great, right"
    assert informal["share of sentences that begin with a capital"] == 0.5
    formal = one("I cannot attend. Please accept my apologies.")
    assert formal["mean word length"] == pytest.approx(36 / 7)
    assert formal["share of long words"] == pytest.approx(1 / 7)
    assert formal["share of sentences that begin with a capital"] == 1
    assert formal["contractions per word"] == formal["has repeated end marks"] == 0


def test_empty_text_and_no_text() -> None:
    assert not surface_features([""]).any()
    assert surface_features([]).shape == (0, len(NAMES))


@given(st.text(st.characters(), max_size=60))
def test_surface_features_are_finite_for_any_text(text: str) -> None:
    assert np.isfinite(surface_features([text])).all()


def raw(n: int, seed: int) -> TextFeatures:
    rng = np.random.default_rng(seed)
    return TextFeatures(rng.normal(3, 2, size=(n, 12)), rng.normal(size=(n, 4)))


def test_standardised_rows_have_length_one_and_bounded_surface() -> None:
    features = raw(30, 0)
    standard = Standard.of(features)
    far = TextFeatures(features.hidden * 1e6, features.surface * 1e6)
    applied = standard.apply(far)
    np.testing.assert_allclose(np.linalg.norm(applied.hidden, axis=1), 1.0)
    assert np.abs(applied.surface).max() == pytest.approx(3 / 2)


def test_constant_columns_and_the_mean_itself_stay_finite() -> None:
    constant = TextFeatures(np.ones((5, 3)), np.zeros((5, 2)))
    applied = Standard.of(constant).apply(constant)
    assert not applied.hidden.any()
    assert not applied.surface.any()


def test_kernel_is_the_formula_and_positive_semidefinite() -> None:
    a, b = (Standard.of(raw(20, 0)).apply(raw(20, seed)) for seed in (0, 1))
    k = kernel(a, b, 0.3)
    assert k[3, 7] == pytest.approx(
        (1 + a.hidden[3] @ b.hidden[7]) ** 2 / 2 + 0.3 * (a.surface[3] @ b.surface[7])
    )
    both = stack(a, b)
    np.testing.assert_array_equal(both[np.array([25])].hidden, b.hidden[[5]])
    assert np.linalg.eigvalsh(kernel(both, both, 0.3)).min() > -1e-10
    assert kernel(a, b, 0.0).max() <= 2.0
