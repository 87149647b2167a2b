import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from steer_assets.stats.roc import auroc


@pytest.mark.parametrize("decimals", [6, 0])
def test_area_is_that_of_scikit_learn_with_and_without_ties(decimals):
    rng = np.random.default_rng(0)
    positive, negative = (
        np.round(rng.normal(size=40) + 1, decimals),
        np.round(rng.normal(size=25), decimals),
    )
    expected = roc_auc_score(np.r_[np.ones(40), np.zeros(25)], np.r_[positive, negative])
    found = auroc(positive, negative)
    assert found.auroc == pytest.approx(expected)
    assert found.low < expected < found.high
    assert (found.n_positive, found.n_negative) == (40, 25)


def test_variance_is_delongs():
    """The structural components written out: share of the other pole below each text."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=12) + 1, rng.normal(size=9)
    psi = (x[:, None] > y[None, :]).astype(float)
    variance = psi.mean(axis=1).var(ddof=1) / 12 + psi.mean(axis=0).var(ddof=1) / 9
    area = psi.mean()
    half = norm.ppf(0.975) * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    found = auroc(x, y)
    assert found.low == pytest.approx(1 / (1 + np.exp(-(logit - half))))
    assert found.high == pytest.approx(1 / (1 + np.exp(-(logit + half))))


@pytest.mark.parametrize(("n", "shift"), [(25, 1.0), (60, 2.0)])
def test_intervals_cover(n, shift):
    rng = np.random.default_rng(n)
    truth = norm.cdf(shift / np.sqrt(2))
    inside = 0
    for _ in range(1000):
        found = auroc(rng.normal(size=n) + shift, rng.normal(size=n), level=0.9)
        inside += found.low <= truth <= found.high
    assert 0.87 <= inside / 1000 <= 0.94


def test_perfect_separation_of_few_texts_is_not_certainty():
    few, many = (auroc(np.arange(n) + 1000.0, np.arange(n)) for n in (5, 150))
    assert few.auroc == many.auroc == few.high == 1.0
    assert few.low < 0.7 < many.low
    inverted = auroc(np.arange(5.0), np.arange(5) + 100.0)
    assert (inverted.auroc, inverted.low) == (0.0, 0.0)
    assert inverted.high == pytest.approx(1 - few.low, abs=1e-6)


def test_perfect_separation_interval_covers_an_area_close_to_one():
    rng = np.random.default_rng(2)
    truth = norm.cdf(3.2 / np.sqrt(2))
    inside = 0
    for _ in range(1000):
        found = auroc(rng.normal(size=10) + 3.2, rng.normal(size=10), level=0.95)
        inside += found.low <= truth <= found.high
    assert inside / 1000 > 0.93


def test_a_scorer_with_one_score_knows_nothing():
    found = auroc(np.ones(5), np.ones(7))
    assert (found.auroc, found.low, found.high) == (0.5, 0.0, 1.0)


def test_exchange_of_poles_mirrors_the_interval():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=20) + 0.5, rng.normal(size=30)
    one, other = auroc(x, y), auroc(y, x)
    assert (other.low, other.high) == pytest.approx((1 - one.high, 1 - one.low))


@pytest.mark.parametrize(("positive", "match"), [([1.0], "at least 2"), ([1, np.nan], "finite")])
def test_bad_input_is_refused(positive, match):
    with pytest.raises(ValueError, match=match):
        auroc(positive, [0.0, 1.0])
