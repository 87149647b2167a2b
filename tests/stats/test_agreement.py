import numpy as np
import pytest
from scipy import stats

from steer_assets.stats import agreement


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_correlation_is_that_of_scipy_inside_its_interval(method):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(30, 2))
    y = np.exp(x + rng.normal(size=(30, 2)))
    found = agreement.correlation(x, y, method=method, n_boot=400, rng=rng)
    expected = getattr(stats, method + "r")(x.ravel(), y.ravel()).statistic
    assert found.value == pytest.approx(expected)
    assert -1 <= found.low < found.value < found.high <= 1


def test_interval_is_over_prompts_and_not_over_texts():
    """Ten equal texts a prompt: the interval is that of one text a prompt, roughly."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 25, 1))
    once = agreement.correlation(x, y, n_boot=1000, rng=np.random.default_rng(4))
    copies = [np.repeat(v, 10, axis=1) for v in (x, y)]
    often = agreement.correlation(*copies, n_boot=1000, rng=np.random.default_rng(4))
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_correlation_intervals_cover():
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(500):
        x, e = rng.normal(size=(2, 40))
        found = agreement.correlation(x, 0.6 * x + 0.8 * e, level=0.9, n_boot=300, rng=rng)
        inside += found.low <= 0.6 <= found.high
    assert 0.86 <= inside / 500 <= 0.94


def test_kappa_on_signs_by_hand():
    # Three of four agree; chance agrees in half.
    assert agreement.kappa_on_signs([1, 2, -1, -2], [3, 1, -4, 5]) == pytest.approx(0.5)
    assert agreement.kappa_on_signs([1.0, 2.0], [3.0, 4.0]) == 1.0
    assert agreement.kappa_on_signs([1.0, 2.0], [-3.0, -4.0]) == 0.0


def test_a_dead_zone_makes_small_effects_zero():
    found = agreement.kappa_on_signs([1.0, -1.0, 0.01], [1.0, -1.0, -0.01], dead_zone=0.1)
    assert found == 1.0
    assert agreement.kappa_on_signs([1.0, -1.0, 0.01], [1.0, -1.0, -0.01]) < 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: agreement.correlation(np.ones(5), np.arange(5.0), rng=np.random.default_rng(0)),
            "x gives every text the same score",
        ),
        (
            lambda: agreement.correlation([1, 2], [2, 1], rng=np.random.default_rng(0)),
            "3 prompts, got 2",
        ),
        (lambda: agreement.kappa_on_signs([1, 2], [1, 2, 3]), "x has 2 prompts, y 3"),
        (lambda: agreement.kappa_on_signs([1, 2], [1, 2], dead_zone=-1), "not be negative"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
