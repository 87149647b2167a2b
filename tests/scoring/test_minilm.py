import dataclasses

import numpy as np
import pytest

from steer_assets.scoring.embedded.encoder import MiniLMEncoder
from steer_assets.scoring.embedded.features import TextFeatures
from steer_assets.scoring.embedded.minilm import MiniLMScorer, fit_minilm
from steer_assets.scoring.embedded.surface import surface_features
from steer_assets.scoring.labelled import LabelledText, read_labelled
from steer_assets.scoring.scorer import Scorer
from tests.scoring.conftest import LABELLED, stock_means

BARS = {"sentiment": 0.9, "formality": 0.9, "politeness": 0.8, "agreeableness": 0.8}
FEW_BARS = {"sentiment": 0.85, "formality": 0.95, "politeness": 0.95, "agreeableness": 0.65}
FEW_TOPICS = {"sentiment": 3, "formality": 3, "politeness": 3, "agreeableness": 5}
ODD = ["", " ", "\ud800", "\x00", "🙂" * 300, "word " * 300, "!!!!", "the the the the"]


@pytest.mark.faults
@pytest.mark.parametrize("trait", BARS)
def test_held_out_topics_reach_the_bar(trait: str, encoder: MiniLMEncoder) -> None:
    labelled = read_labelled(LABELLED / f"{trait}.jsonl")
    row = fit_minilm(trait, labelled, encoder).held_out()
    assert row.scorer == "minilm"
    assert min(row.n_positive, row.n_negative) >= 150
    assert row.n_positive + row.n_negative == len(labelled)
    assert row.auroc >= BARS[trait]
    assert row.auroc_low >= 0.7


@pytest.mark.parametrize("trait", BARS)
def test_held_out_topics_of_few_texts_reach_a_bar(trait: str, encoder: MiniLMEncoder) -> None:
    """The form of the test above that `make test` runs: a few topics of each trait."""
    labelled = read_labelled(LABELLED / f"{trait}.jsonl")
    topics = sorted({text.topic for text in labelled})[: FEW_TOPICS[trait]]
    few = [text for text in labelled if text.topic in topics]
    row = fit_minilm(trait, few, encoder).held_out()
    assert row.n_positive + row.n_negative == len(few)
    assert row.auroc >= FEW_BARS[trait]


def test_labels_without_meaning_are_not_learned(
    remembering: MiniLMEncoder, few: list[LabelledText]
) -> None:
    # Were a held-out text or its topic seen in fitting, shuffled labels would be found again.
    labels = np.random.default_rng(11).permutation([text.label for text in few])
    shuffled = [
        dataclasses.replace(text, label=str(label)) for text, label in zip(few, labels, strict=True)
    ]
    row = fit_minilm("no-anchors", shuffled, remembering).held_out()
    assert row.auroc_low < 0.5 < row.auroc_high


def test_fit_is_the_same_to_the_byte(
    encoder: MiniLMEncoder, few: list[LabelledText], scorer: MiniLMScorer
) -> None:
    texts = [text.text for text in few[:20]] + ODD
    again = fit_minilm("sentiment", few, encoder)
    assert again.score(texts).tobytes() == scorer.score(texts).tobytes()


def test_scores_are_finite_open_and_in_order(scorer: MiniLMScorer) -> None:
    assert isinstance(scorer, Scorer)
    scores = scorer.score(ODD)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scorer.score(ODD[::-1]), scores[::-1], atol=1e-4)
    assert scorer.score([]).shape == (0,)
    # A logit scale: strong texts lie well above 0, and are still told apart.
    strong = scorer.score(["It was good.", "A wonderful, wonderful evening.", "I loved every bit!"])
    assert len(set(strong.tolist())) == 3
    assert scorer.score(["A wonderful, wonderful evening."])[0] > 1


def test_words_beyond_the_labelled_texts(scorer: MiniLMScorer) -> None:
    # Topics and words of none of the texts fitted on.
    good = [
        "The dentist was gentle and kind.",
        "My new kettle works like a charm.",
        "superb tulips",
    ]
    bad = ["The dentist hurt me and shouted.", "My new kettle leaks everywhere.", "wilted tulips"]
    assert (scorer.score(good) > scorer.score(bad)).all()


def test_traits_without_anchors_are_fitted_too(
    remembering: MiniLMEncoder, few: list[LabelledText], scorer: MiniLMScorer
) -> None:
    without = fit_minilm("my-own-trait", few, remembering)
    assert len(without.head.support.hidden) == len(few) < len(scorer.head.support.hidden)
    own = [text.text for text in few]
    positive = np.array([text.label == "positive" for text in few])
    scores = without.score(own)
    assert scores[positive].mean() > scores[~positive].mean() + 1


def test_missing_poles_are_refused(encoder: MiniLMEncoder, few: list[LabelledText]) -> None:
    only = [text for text in few if text.label == "positive"]
    with pytest.raises(ValueError, match=f"{len(only)} positive and 0 negative"):
        fit_minilm("sentiment", only, encoder)


@pytest.mark.parametrize("trait", ["formality", "my-own-trait"])  # surface features; no anchors
def test_a_state_gives_the_same_scores_and_validation_to_the_byte(
    trait: str, remembering: MiniLMEncoder, few: list[LabelledText]
) -> None:
    fitted = fit_minilm(trait, few, remembering, name="mine")
    again = MiniLMScorer.from_state(trait, few, remembering, fitted.state, name="mine")
    texts = [text.text for text in few[:20]] + ODD
    assert again.score(texts).tobytes() == fitted.score(texts).tobytes()
    assert again.state.keys() == fitted.state.keys()
    assert again.held_out() == fitted.held_out()


def test_a_state_of_other_texts_is_refused(
    encoder: MiniLMEncoder, few: list[LabelledText], scorer: MiniLMScorer
) -> None:
    for trait, labelled in (("sentiment", few[1:]), ("my-own-trait", few)):
        with pytest.raises(ValueError, match=f"trait '{trait}': a state of "):
            MiniLMScorer.from_state(trait, labelled, encoder, scorer.state)
    with pytest.raises(ValueError, match="'coefficients': \\("):
        MiniLMScorer.from_state("sentiment", few, encoder, {"hidden": scorer.state["hidden"]})


def test_scores_are_those_of_the_stock_encoder(
    few: list[LabelledText], scorer: MiniLMScorer
) -> None:
    texts = [text.text for text in few[:12]]  # one batch
    hidden = stock_means(texts).reshape(len(texts), -1).astype(np.float64)
    features = TextFeatures(hidden, surface_features(texts))
    np.testing.assert_allclose(scorer.score(texts), scorer.head.decide(features), rtol=1e-9)
