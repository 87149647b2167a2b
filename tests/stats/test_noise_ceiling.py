import numpy as np
import pytest

from steer_assets.stats.sampling_noise import noise_ceiling
from tests.sizes import simulated
from tests.stats.simulate import error


def effects(rng, n, m, *, truth_correlation, common=0.0, noise=1.0):
    """Two arms with true effects of variance 1 and noise of which ``common`` is shared."""
    truth = rng.multivariate_normal([0, 0], [[1, truth_correlation], [truth_correlation, 1]], n)
    shared = np.sqrt(common) * rng.normal(size=(n, m))
    return [
        truth[:, [k]] + noise * (shared + np.sqrt(1 - common) * rng.normal(size=(n, m)))
        for k in (0, 1)
    ]


def test_arms_with_the_same_effects_reach_the_ceiling_and_not_one():
    rng = np.random.default_rng(0)
    x, y = effects(rng, 2000, 4, truth_correlation=1.0, noise=2.0)
    found = noise_ceiling.correlation(x, y, n_boot=200, rng=rng)
    # Reliability of a mean of four with noise variance 4 is 1 / (1 + 4 / 4).
    assert found.ceiling == pytest.approx(0.5, abs=0.04)
    assert found.correlation == pytest.approx(0.5, abs=0.05)
    assert found.correlation / found.ceiling == pytest.approx(1.0, abs=0.06)


def test_noise_that_both_arms_share_is_no_agreement():
    """Unrelated effects, common random numbers and a common unsteered arm."""
    rng = np.random.default_rng(1)
    x, y = effects(rng, 2000, 3, truth_correlation=0.0, common=0.9, noise=2.0)
    found = noise_ceiling.correlation(x, y, n_boot=200, rng=rng)
    assert np.corrcoef(x.mean(axis=1), y.mean(axis=1))[0, 1] > 0.4
    assert found.low < 0.0 < found.high
    assert abs(found.correlation / found.ceiling) < 0.12


def test_interval_covers_the_correlation_of_prompt_means():
    rng = np.random.default_rng(2)
    inside, studies = 0, simulated(400)
    for _ in range(studies):
        x, y = effects(rng, 60, 4, truth_correlation=0.6, common=0.5)
        found = noise_ceiling.correlation(x, y, level=0.9, n_boot=300, rng=rng)
        inside += found.low <= 0.6 / 1.25 <= found.high
    assert inside / studies == pytest.approx(0.9, abs=max(0.04, error(0.9, studies)))


def test_reliability_is_the_known_one_and_that_of_split_halves_stepped_up():
    rng = np.random.default_rng(3)
    x, _ = effects(rng, 1500, 6, truth_correlation=0.0, noise=1.5)
    expected = 1 / (1 + 2.25 / 6)
    assert noise_ceiling.reliability(x) == pytest.approx(expected, abs=0.03)
    halves = np.corrcoef(x[:, :3].mean(axis=1), x[:, 3:].mean(axis=1))[0, 1]
    assert noise_ceiling.reliability(x) == pytest.approx(2 * halves / (1 + halves), abs=0.03)


def test_pure_noise_has_no_ceiling_to_correct_by():
    # Spread of the means well below that of the samples.
    x = np.array([[5.0, -5.0], [4.9, -5.0], [5.0, -5.1], [5.1, -5.0]])
    found = noise_ceiling.correlation(x, x[::-1], n_boot=200, rng=np.random.default_rng(0))
    assert found.ceiling == 0.0
    assert noise_ceiling.reliability(np.ones((4, 3))) == 0.0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.arange(6.0).reshape(6, 1), "3 prompts and 2 samples, got 6 and 1"),
        (np.arange(4.0).reshape(2, 2), "3 prompts and 2 samples, got 2 and 2"),
        (np.ones((5, 3)), "same effect on every prompt"),
    ],
)
def test_bad_input_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        noise_ceiling.correlation(x, x, rng=np.random.default_rng(0))
