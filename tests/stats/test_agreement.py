import numpy as np
import pytest
from scipy import stats

from steer_assets.stats import agreement


def codes(letters: str) -> list[int]:
    return [ord(letter) for letter in letters.split()]


def test_nominal_alpha_reproduces_krippendorffs_examples():
    """Krippendorff (2011), Computing Krippendorff's alpha-reliability, sections A and B."""
    meg = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    owen = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    found = agreement.krippendorff_alpha(np.array([meg, owen]).T, metric="nominal")
    assert found == pytest.approx(0.095, abs=5e-4)
    ben, gerry = codes("a a b b d c c c e d d a"), codes("b a b b b c c c e d d d")
    found = agreement.krippendorff_alpha(np.array([ben, gerry]).T, metric="nominal")
    assert found == pytest.approx(0.692, abs=5e-4)


def test_interval_alpha_is_disagreement_over_all_pairs():
    ratings = np.random.default_rng(0).normal(size=(7, 3))
    within = [
        (unit[i] - unit[j]) ** 2 for unit in ratings for i in range(3) for j in range(3) if i != j
    ]
    flat = ratings.ravel()
    pairs = [(p - q) ** 2 for i, p in enumerate(flat) for j, q in enumerate(flat) if i != j]
    expected = 1 - np.mean(within) / np.mean(pairs)
    assert agreement.krippendorff_alpha(ratings) == pytest.approx(expected)


def test_interval_alpha_is_one_for_copies_and_low_for_a_shift():
    x = np.random.default_rng(1).normal(size=50)
    assert agreement.krippendorff_alpha(np.stack([x, x], axis=1)) == pytest.approx(1.0)
    assert agreement.krippendorff_alpha(np.stack([x, x + 5], axis=1)) < 0


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
        (lambda: agreement.krippendorff_alpha(np.ones((4, 2))), "all 8 ratings are the same"),
        (lambda: agreement.krippendorff_alpha(np.ones((4, 1))), "at least 2 raters, got 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
