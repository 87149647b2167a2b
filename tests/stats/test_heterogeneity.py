import numpy as np
import pytest

from steer_assets.stats.effects.heterogeneity import crossover_p, heterogeneity
from tests.sizes import simulated
from tests.stats.simulate import error


def arms(rng, n, m, effects, noise=1.0):
    base = rng.normal(size=(n, m))
    return base + effects + noise * rng.normal(size=(n, m)), base


def test_an_average_of_zero_can_hide_helping_and_hurting():
    rng = np.random.default_rng(0)
    a, b = arms(rng, 40, 5, np.repeat([[1.0], [-1.0]], 20, axis=0))
    found = heterogeneity(a, b, rng=rng)
    assert abs(found.effect) < 0.3
    assert found.tau_low < 1.01 < found.tau_high
    assert found.p < 0.01
    assert found.p_crossover < 1e-6
    assert 0.3 < found.share_opposite <= 0.5
    assert found.share_of_variance == pytest.approx(1 / (1 + 1 / 5), abs=0.1)


def test_unequal_strength_of_one_sign_is_no_crossover():
    rng = np.random.default_rng(1)
    a, b = arms(rng, 40, 5, np.repeat([[2.0], [4.0]], 20, axis=0))
    found = heterogeneity(a, b, rng=rng)
    assert found.p < 0.01
    assert found.p_crossover > 0.9
    assert found.share_opposite < 0.01


@pytest.mark.parametrize("skewed", [False, True])
def test_holds_its_size_where_prompts_differ_in_noise(skewed):
    """No heterogeneity of effects, noise that varies severalfold: where the F test rejects 10 %."""
    rng = np.random.default_rng(2)
    rejected, studies = 0, simulated(500)
    for _ in range(studies):
        noise = rng.gamma(1, 1, size=(30, 4)) - 1 if skewed else rng.normal(size=(30, 4))
        noise = noise * np.exp(0.5 * rng.normal(size=(30, 1)))
        rejected += heterogeneity(noise + 0.3, np.zeros((30, 4)), n_signs=400, rng=rng).p < 0.05
    assert rejected / studies < 0.05 + error(0.05, studies)


def test_finds_real_heterogeneity():
    rng = np.random.default_rng(3)
    found = sum(
        heterogeneity(*arms(rng, 40, 5, 0.5 * rng.normal(size=(40, 1))), n_signs=400, rng=rng).p
        < 0.05
        for _ in range(100)
    )
    assert found > 80


@pytest.mark.parametrize("n", [20, 60])
def test_interval_of_tau_covers(n):
    rng = np.random.default_rng(n)
    inside, studies = 0, simulated(600)
    for _ in range(studies):
        a, b = arms(rng, n, 5, 0.5 * rng.normal(size=(n, 1)))
        found = heterogeneity(a, b, level=0.9, n_signs=100, rng=rng)
        inside += found.tau_low <= 0.5 <= found.tau_high
        assert found.tau_low <= found.tau <= found.tau_high
    assert inside / studies == pytest.approx(0.905, abs=max(0.035, error(0.9, studies)))


def test_crossover_reproduces_the_critical_values_of_gail_and_simon():
    """Their table 1: 2.71 for two groups and 4.23 for three at the level of 5 %."""
    assert crossover_p(np.array([9.0, -np.sqrt(2.71)]), 1.0) == pytest.approx(0.05, abs=5e-4)
    assert crossover_p(np.array([9.0, 9.0, -np.sqrt(4.23)]), 1.0) == pytest.approx(0.05, abs=5e-4)
    assert crossover_p(np.array([1.0, 2.0]), 1.0) == 1.0


def test_crossover_holds_its_level_at_the_worst_null():
    """All prompts strongly helped but some not at all."""
    rng = np.random.default_rng(4)
    truth = np.r_[np.zeros(19), 9.0]
    p = [crossover_p(truth + rng.normal(size=20), 1.0) for _ in range(2000)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.015)


def test_without_noise_what_is_seen_is_what_there_is():
    rng = np.random.default_rng(0)
    same = heterogeneity(np.ones((5, 3)), np.zeros((5, 3)), rng=rng)
    assert (same.tau, same.p, same.p_crossover, same.share_opposite) == (0.0, 1.0, 1.0, 0.0)
    apart = heterogeneity(np.tile([[1.0], [-1.0]], (1, 3)), np.zeros((2, 3)), rng=rng)
    assert (apart.p, apart.p_crossover, apart.share_of_variance) == (0.0, 0.0, 1.0)
    assert apart.tau_low == apart.tau_high == pytest.approx(np.sqrt(2))


def test_noise_with_no_spread_of_means_is_no_heterogeneity():
    found = heterogeneity(
        np.array([[1.0, -1.0], [2.0, -2.0]]), np.zeros((2, 2)), rng=np.random.default_rng(0)
    )
    assert (found.tau, found.tau_low, found.tau_high, found.p) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("shape", "message"), [((5, 1), "at least 2 samples a prompt, got 1"), ((1, 5), "at least 2")]
)
def test_too_little_data_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        heterogeneity(np.zeros(shape), np.ones(shape), rng=np.random.default_rng(0))
