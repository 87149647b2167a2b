"""Scorers of other kinds than the encoder's head, which need no download."""

import sys

import numpy as np
import pytest

from steer_assets.catalog import catalog
from steer_assets.scoring.labelled import LabelledText, read_labelled
from steer_assets.scoring.lexicon import LexiconScorer
from steer_assets.scoring.scorer import FittedScorer, Scorer, ScorerUnavailable
from steer_assets.scoring.validation import validate_fixed
from steer_assets.scoring.words import fit_words

ODD = ["", "   ", "\ud800", "?!", "zzyzx " * 400, "0", "ünïcödé 良い"]


def _labelled(trait: str) -> list[LabelledText]:
    return read_labelled(catalog.labelled_path(trait))


def test_the_lexicon_knows_sentiment_without_being_fitted() -> None:
    found = validate_fixed(LexiconScorer("lexicon"), _labelled("sentiment"))
    assert found.auroc_low > 0.7


def test_the_lexicon_reads_negation_and_degree() -> None:
    good, very, not_good, none = LexiconScorer("lexicon").score(
        ["The film is good.", "The film is extremely good.", "The film is not good.", "A table."]
    )
    assert very > good > none == 0 > not_good


@pytest.mark.parametrize(
    ("trait", "least"), [("formality", 0.97), ("politeness", 0.95), ("sentiment", 0.74)]
)
def test_words_separate_the_poles_on_topics_not_fitted(trait: str, least: float) -> None:
    found = fit_words(_labelled(trait), name="words").held_out()
    assert found.auroc > least


def test_held_out_texts_are_not_scored_by_what_was_fitted_to_them() -> None:
    """Words that no other topic has separate the texts fitted to, and no held-out text."""
    texts = [
        LabelledText(f"{pole}{topic} {pole}{topic}x", pole, str(topic), "note")
        for topic in range(8)
        for pole in ("positive", "negative")
    ]
    scorer = fit_words(texts, name="words")
    assert isinstance(scorer, FittedScorer)
    scores = scorer.score([text.text for text in texts])
    assert (scores[::2] > scores[1::2]).all()
    assert scorer.held_out().auroc == pytest.approx(0.5)


def test_any_text_has_a_finite_score() -> None:
    for scorer in (LexiconScorer("lexicon"), fit_words(_labelled("formality"), name="words")):
        assert isinstance(scorer, Scorer)
        assert np.isfinite(scorer.score(ODD)).all()
        assert scorer.score([]).shape == (0,)


def test_two_fits_are_equal_to_the_byte() -> None:
    labelled = _labelled("formality")
    texts = [text.text for text in labelled[:20]]
    one, two = (fit_words(labelled, name="words").score(texts) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_one_pole_is_refused() -> None:
    with pytest.raises(ValueError, match="of one pole"):
        fit_words([t for t in _labelled("formality") if t.label == "positive"], name="words")


def test_without_the_package_the_lexicon_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vaderSentiment", None)
    with pytest.raises(ScorerUnavailable, match="vaderSentiment is not installed"):
        LexiconScorer("lexicon")
