import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import entropy

from steer_assets.geometry import kl
from steer_assets.geometry.errors import NotFiniteError, ShapeError

from .reference import predicted_kl
from .toys import ReadOut


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**20), vocabulary=st.integers(2, 60), scale=st.sampled_from([0.1, 5.0]))
def test_divergences_are_those_of_scipy(seed: int, vocabulary: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal((3, vocabulary))
    reference = scale * rng.standard_normal(vocabulary)
    found = kl.distances(logits, reference)
    p, q = softmax(reference), softmax(logits, axis=1)
    expected_js = [jensenshannon(p, row) ** 2 for row in q]
    np.testing.assert_allclose(found["kl"], [entropy(p, row) for row in q], rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(found["js"], expected_js, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found["l2"], np.linalg.norm(logits - reference, axis=1))
    assert (found["js"] <= np.log(2) + 1e-12).all()


def test_identical_and_shifted_logits_have_no_divergence() -> None:
    z = np.random.default_rng(0).standard_normal(500)
    found = kl.distances(np.stack([z, z + 3.0]), z)
    np.testing.assert_allclose(found["kl"], 0.0, atol=1e-15)
    np.testing.assert_allclose(found["js"], 0.0, atol=1e-15)
    assert found["l2"].tolist() == pytest.approx([0.0, 3.0 * np.sqrt(500)])
    assert found["top1_agreement"].tolist() == [1.0, 1.0]
    assert found["top10_overlap"].tolist() == [1.0, 1.0]


def test_divergences_far_below_rounding_keep_their_digits() -> None:
    rng = np.random.default_rng(1)
    z, e = rng.standard_normal(1000), rng.standard_normal(1000)
    p = softmax(z)
    variance = p @ e**2 - (p @ e) ** 2
    step = 1e-9
    measured = kl.distances((z + step * e)[None], z)["kl"][0]
    assert measured == pytest.approx(0.5 * step**2 * variance, rel=1e-4, abs=0.0)


def test_confident_distributions_do_not_overflow() -> None:
    reference = np.array([0.0, -900.0, -2000.0])
    found = kl.distances(np.array([[-900.0, 0.0, -2000.0]]), reference)
    assert found["kl"][0] == pytest.approx(900.0)
    assert found["js"][0] == pytest.approx(np.log(2))
    assert found["top1_agreement"][0] == 0.0


def test_top_ten_overlap_counts_shared_tokens() -> None:
    reference = -np.arange(50.0)
    arm = reference.copy()
    arm[[8, 9]] = -100.0  # two of the ten leave, tokens 10 and 11 take their places
    found = kl.distances(np.stack([arm]), reference)
    assert found["top10_overlap"][0] == pytest.approx(0.8)
    assert found["top1_agreement"][0] == 1.0
    assert kl.distances(np.ones((1, 4)), np.arange(4.0))["top10_overlap"][0] == 1.0


def test_predicted_kl_agrees_with_measurement_for_small_perturbations() -> None:
    rng = np.random.default_rng(2)
    toy = ReadOut.draw(rng, d=20, r=20, vocabulary=80)
    h = 0.3 * rng.standard_normal(20)
    e = 1e-3 * rng.standard_normal((6, 20))
    measured = kl.distances(toy.logits(h + e), toy.logits(h))["kl"]
    np.testing.assert_allclose(predicted_kl(toy.fisher(h), e), measured, rtol=0.01)


def test_refusals() -> None:
    with pytest.raises(ShapeError, match="width 3, expected 4"):
        kl.distances(np.zeros((2, 4)), np.zeros(3))
    with pytest.raises(ShapeError):
        kl.distances(np.zeros(4), np.zeros(4))
    with pytest.raises(NotFiniteError):
        kl.distances(np.array([[0.0, -np.inf]]), np.zeros(2))


def test_in_an_isotropic_model_every_distance_is_what_its_length_gives() -> None:
    rng = np.random.default_rng(8)
    d, n = 40, 6
    read_out = np.linalg.qr(rng.standard_normal((90, d)))[0]  # logits move alike in all directions
    v = rng.standard_normal(d)
    perpendicular = rng.standard_normal((n, d))
    perpendicular -= np.outer(perpendicular @ v, v) / (v @ v)
    perpendicular *= np.linalg.norm(v) / np.linalg.norm(perpendicular, axis=1)[:, None]
    vectors = np.concatenate([v + perpendicular, perpendicular])
    l2 = kl.distances(vectors @ read_out.T, read_out @ v)["l2"]
    displacement = np.linalg.norm(vectors - v, axis=1) / np.linalg.norm(v)
    control = np.repeat([False, True], n)
    floor = kl.isotropic_distances(l2, displacement, control)
    assert floor is not None
    np.testing.assert_allclose(floor, l2, rtol=1e-9)
    # 29.3 % smaller than the control in its place, and nothing of that is the model's.
    assert l2[~control].mean() / l2[control].mean() == pytest.approx(1 / np.sqrt(2))
    assert kl.isotropic_distances(l2, displacement, np.zeros(2 * n, dtype=bool)) is None
