import numpy as np
import pytest

from steer_assets.geometry.null_spaces import noise


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.5, 0.9, 1.0])
def test_hard_threshold_is_the_published_one(beta: float) -> None:
    # Gavish & Donoho (2014), section IV: omega(beta) is within 0.02 of this cubic on (0, 1].
    published = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    dof = 10_000
    eigenvalues = np.ones(int(beta * dof))
    omega = np.sqrt(noise.hard_threshold(eigenvalues, dof))
    assert omega == pytest.approx(published, abs=0.021)


def test_hard_threshold_of_square_data_is_the_papers_2_858() -> None:
    assert np.sqrt(noise.hard_threshold(np.ones(50), 50)) == pytest.approx(2.858, abs=5e-4)


def test_median_of_the_law_has_half_the_mass_on_either_side() -> None:
    for d, n in [(400, 500), (400, 4000)]:
        x = np.random.default_rng(d).standard_normal((n, d))
        eigenvalues = np.linalg.eigvalsh(x.T @ x / n)
        assert np.median(eigenvalues) == pytest.approx(
            noise.marchenko_pastur_median(d / n), rel=0.02
        )
    with pytest.raises(ValueError, match="beta"):
        noise.marchenko_pastur_median(1.5)


@pytest.mark.parametrize(("n", "d"), [(60, 400), (300, 300), (2000, 100)])
def test_noise_level_is_recovered_on_either_side_of_n_equals_d(n: int, d: int) -> None:
    x = 3.0 * np.random.default_rng(n).standard_normal((n, d))
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    assert noise.noise_variance(eigenvalues, n - 1) == pytest.approx(9.0, rel=0.05)


def test_quantile_of_the_largest_eigenvalue_has_its_false_alarm_rate() -> None:
    rng = np.random.default_rng(6)
    d, dof, draws = 30, 60, 1000
    level = noise.largest_noise_eigenvalue(d, dof, false_alarm=0.1)
    beyond = 0
    for _ in range(draws):
        x = rng.standard_normal((dof, d))
        beyond += np.linalg.norm(x, 2) ** 2 / dof > level
    # Binomial standard deviation 0.0095; the law is asymptotic, hence a little room beyond 3 of it.
    assert beyond / draws == pytest.approx(0.1, abs=0.035)


def test_edge_tends_to_the_asymptotic_one() -> None:
    d, dof = 20_000, 80_000
    asymptotic = (1 + np.sqrt(d / dof)) ** 2
    assert noise.largest_noise_eigenvalue(d, dof) == pytest.approx(asymptotic, rel=0.01)


def test_no_noise_where_most_eigenvalues_are_zero() -> None:
    eigenvalues = np.array([5.0, 4.0] + [0.0] * 8)
    assert noise.noise_variance(eigenvalues, 100) == 0.0
    assert noise.noise_edge(eigenvalues, 100) == 0.0
    assert noise.hard_threshold(eigenvalues, 100) == 0.0
