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
from tests.sizes import simulated
from tests.stats.simulate import error


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
    # Binormal scores, 60 a pole; 95 % +- 3 standard errors of the simulation.
    rng = np.random.default_rng(17)
    positive = np.arange(120) < 60
    truth = norm.cdf(shift / np.sqrt(2))
    covered, studies = 0, simulated(600)
    for _ in range(studies):
        _, low, high = auroc(rng.normal(positive * shift, 1.0), positive)
        covered += low <= truth <= high
    assert covered / studies == pytest.approx(0.95, abs=max(0.03, 1.5 * error(0.95, studies)))


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


def _topic_scores(rng: np.random.Generator, n_topics: int, shift: float) -> tuple:
    """Four texts a topic, two of each pole; a topic moves all of its texts, and its contrast."""
    topics = np.repeat(np.arange(n_topics), 4)
    positive = np.tile([True, True, False, False], n_topics)
    contrast = rng.normal(0, 1.0, n_topics)[topics] * np.where(positive, 0.5, -0.5)
    scores = positive * shift + contrast + rng.normal(0, 0.3, len(topics))
    return scores, positive, [str(topic) for topic in topics]


def test_interval_by_topic_covers_where_topics_differ_and_by_text_does_not() -> None:
    rng = np.random.default_rng(5)
    shift, runs = 0.6, 500
    # Two texts of different topics: their difference has the variance 2 (1/4 + 0.09).
    truth = norm.cdf(shift / np.sqrt(2 * (0.25 + 0.09)))
    by_topic = by_text = 0
    for _ in range(runs):
        scores, positive, topics = _topic_scores(rng, 24, shift)
        _, low, high = auroc(scores, positive, topics=topics)
        by_topic += low <= truth + 0.005 and truth - 0.005 <= high
        _, low, high = auroc(scores, positive)
        by_text += low <= truth <= high
    assert by_topic / runs == pytest.approx(0.95, abs=0.03)
    assert by_text / runs < 0.88


def test_topics_of_one_text_are_texts() -> None:
    rng = np.random.default_rng(9)
    positive = np.arange(400) < 200
    scores = rng.normal(positive * 1.0, 1)
    area, low, high = auroc(scores, positive, topics=[str(i) for i in range(400)])
    plain = auroc(scores, positive)
    assert (area, low, high) == pytest.approx(plain, abs=2e-3)


def test_perfect_separation_counts_topics_not_texts() -> None:
    positive = np.tile([True] * 10 + [False] * 10, 3)
    scores = positive.astype(float)
    topics = np.repeat(["a", "b", "c"], 20).tolist()
    assert auroc(scores, positive, topics=topics)[1] == pytest.approx(0.025 ** (1 / 3))


def test_validation_takes_topics_as_units() -> None:
    rng = np.random.default_rng(2)
    scores, positive, topics = _topic_scores(rng, 30, 1.0)
    labelled = [
        LabelledText(f"text {row}", "positive" if label else "negative", topic, "chat")
        for row, (label, topic) in enumerate(zip(positive, topics, strict=True))
    ]
    found = validate_scores("x", scores, labelled)
    expected = auroc(scores, positive, topics=topics)
    assert (found.auroc, found.auroc_low, found.auroc_high) == expected
