import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from steer_assets.scoring.labelled import LabelledText
from steer_assets.scoring.validation import (
    auroc,
    held_out_scores,
    validate_fixed,
    validate_scores,
)


def texts(*labels: str, topics: list[str] | None = None) -> list[LabelledText]:
    names = topics or ["t"] * len(labels)
    return [
        LabelledText(f"text {row}", label, topic, "chat")  # type: ignore[arg-type]
        for row, (label, topic) in enumerate(zip(labels, names, strict=True))
    ]


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=8, max_size=40))
def test_area_is_that_of_scikit_learn_ties_included(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=float)
    positive = np.array([label for _, label in rows])
    if min(positive.sum(), (~positive).sum()) < 2:
        with pytest.raises(ValueError, match="at least 2"):
            auroc(scores, positive)
        return
    area, low, high = auroc(scores, positive)
    assert area == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert 0 <= low <= area <= high <= 1


def test_variance_is_delongs_over_all_pairs() -> None:
    rng = np.random.default_rng(3)
    positive = np.arange(50) < 20
    scores = np.round(rng.normal(positive * 1.0, 1), 1)
    psi = (scores[:20, None] > scores[None, 20:]) + 0.5 * (scores[:20, None] == scores[None, 20:])
    variance = psi.mean(axis=1).var(ddof=1) / 20 + psi.mean(axis=0).var(ddof=1) / 30
    area, low, high = auroc(scores, positive)
    half = norm.ppf(0.975) * np.sqrt(variance) / (area * (1 - area))
    np.testing.assert_allclose(logit([low, high]) - logit(area), [-half, half], atol=1e-10)


@pytest.mark.parametrize("shift", [0.5, 1.3, 2.0])
def test_interval_covers(shift: float) -> None:
    # Binormal scores, 60 a pole; 600 studies: 95 % +- 3 standard errors of the simulation.
    rng = np.random.default_rng(17)
    positive = np.arange(120) < 60
    truth = norm.cdf(shift / np.sqrt(2))
    covered = 0
    for _ in range(600):
        _, low, high = auroc(rng.normal(positive * shift, 1.0), positive)
        covered += low <= truth <= high
    assert covered / 600 == pytest.approx(0.95, abs=0.03)


def test_perfect_separation_is_not_certainty() -> None:
    positive = np.arange(40) < 20
    area, low, high = auroc(positive * 1.0, positive)
    assert (area, high) == (1.0, 1.0)
    # 20 of 20 right: the exact 95 % bound of a proportion.
    assert low == pytest.approx(0.025 ** (1 / 20))
    area, low, high = auroc(~positive * 1.0, positive)
    assert (area, low) == (0.0, 0.0)
    assert high == pytest.approx(1 - 0.025 ** (1 / 20))


def test_errors_name_both_numbers() -> None:
    with pytest.raises(ValueError, match="3 scores for 4 labels"):
        auroc(np.zeros(3), np.ones(4, dtype=bool))
    with pytest.raises(ValueError, match="1 scores are not finite"):
        auroc(np.array([0.0, np.nan, 1.0, 2.0]), np.array([True, True, False, False]))


def test_every_text_is_scored_without_its_topic() -> None:
    topics = [f"topic {row % 7}" for row in range(42)]
    labelled = texts(*(["positive", "negative"] * 21), topics=topics)

    def fit_and_score(fit_rows: np.ndarray, score_rows: np.ndarray) -> np.ndarray:
        assert not {topics[row] for row in fit_rows} & {topics[row] for row in score_rows}
        return score_rows * 1.0

    np.testing.assert_array_equal(held_out_scores(labelled, fit_and_score), np.arange(42))
    with pytest.raises(ValueError, match="1 topic"):
        held_out_scores(texts("positive", "negative"), fit_and_score)


def test_validation_row() -> None:
    labelled = texts("positive", "positive", "negative", "negative", "negative")
    row = validate_scores("s", np.array([3.0, 1.0, 2.0, 0.0, 0.0]), labelled)
    assert (row.scorer, row.n_positive, row.n_negative) == ("s", 2, 3)
    assert row.auroc == pytest.approx(5 / 6)

    class Length:
        name = "length"

        def score(self, texts: list[str]) -> np.ndarray:
            return np.array([len(text) for text in texts], dtype=float)

    assert validate_fixed(Length(), labelled).auroc == 0.5
