import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from steer_assets.scoring.embedded.heads import fit_dual


def data(n: int = 60, d: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    positive = x[:, 0] + rng.normal(size=n) > 0
    return x, positive, [f"t{row % 6}" for row in range(n)]


def test_linear_kernel_is_logistic_regression() -> None:
    x, positive, topics = data()
    dual = fit_dual(x @ x.T, positive, topics, np.ones(60), penalties=(0.7,))
    primal = LogisticRegression(C=0.7, tol=1e-10, max_iter=5000).fit(x, positive)
    new = np.random.default_rng(1).normal(size=(20, 8))
    np.testing.assert_allclose(dual.decide(new @ x.T), primal.decision_function(new), atol=1e-4)


def test_a_weight_of_two_is_the_row_twice() -> None:
    x, positive, topics = data(30)
    weights = np.ones(30)
    weights[:10] = 2
    weighted = fit_dual(x @ x.T, positive, topics, weights, penalties=(1.0,))
    twice = np.concatenate([x, x[:10]])
    doubled = fit_dual(
        twice @ twice.T,
        np.concatenate([positive, positive[:10]]),
        topics + topics[:10],
        np.ones(40),
        penalties=(1.0,),
    )
    np.testing.assert_allclose(weighted.decide(x @ x.T), doubled.decide(x @ twice.T), atol=1e-4)


def test_penalty_is_strong_where_there_is_nothing_to_learn() -> None:
    x, positive, topics = data(120, 100)
    noise = np.random.default_rng(5).permutation(positive)
    strong = fit_dual(x @ x.T / 10, noise, topics, np.ones(120), penalties=(1e-3, 1.0, 100.0))
    assert strong.inverse_penalty == 1e-3
    signal = np.where(positive, 1.0, -1.0)[:, None] * np.ones((1, 100)) + x
    weak = fit_dual(
        signal @ signal.T / 10, positive, topics, np.ones(120), penalties=(1e-3, 1.0, 100.0)
    )
    assert weak.inverse_penalty > 1e-3


def test_rows_without_a_topic_are_fitted_on_but_not_judged() -> None:
    x, positive, topics = data(60)
    # Anchors with the poles the wrong way round would be well predicted by a head of their own, and
    # must not decide the penalty of the others.
    rows = np.concatenate([x, x[:20] * 3])
    labels = np.concatenate([positive, ~positive[:20]])
    light = np.concatenate([np.ones(60), np.full(20, 1e-9)])
    with_anchors = fit_dual(rows @ rows.T, labels, [*topics, *[None] * 20], light)
    alone = fit_dual(x @ x.T, positive, topics, np.ones(60))
    assert with_anchors.inverse_penalty == alone.inverse_penalty
    np.testing.assert_allclose(with_anchors.decide(x @ rows.T), alone.decide(x @ x.T), atol=1e-4)


def test_the_same_bytes_twice() -> None:
    x, positive, topics = data(100, 300)
    first, second = (
        fit_dual((1 + x @ x.T / 300) ** 2, positive, topics, np.ones(100)) for _ in range(2)
    )
    assert first.coefficients.tobytes() == second.coefficients.tobytes()
    assert first.bias == second.bias


def test_errors() -> None:
    x, positive, topics = data(10)
    with pytest.raises(ValueError, match=r"kernel \[10, 10\], 10 labels, 9 topics"):
        fit_dual(x @ x.T, positive, topics[:9], np.ones(10))
    with pytest.raises(ValueError, match="10 positive and 0 negative"):
        fit_dual(x @ x.T, np.ones(10, dtype=bool), topics, np.ones(10))
    with pytest.raises(ValueError, match="not finite"):
        fit_dual(x @ x.T * np.nan, positive, topics, np.ones(10))


def test_one_topic_takes_the_middle_penalty() -> None:
    x, positive, _ = data(20)
    dual = fit_dual(x @ x.T, positive, ["t"] * 20, np.ones(20), penalties=(0.1, 1.0, 10.0))
    assert dual.inverse_penalty == 1.0
