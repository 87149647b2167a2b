import numpy as np
import pytest
from pydantic import ValidationError

from steer_assets.scoring.embedded.encoder import MiniLMEncoder
from steer_assets.scoring.embedded.minilm import MiniLMScorer
from steer_assets.scoring.labelled import LabelledText
from steer_assets.scoring.registry import Judge, ScorerSpec, make_scorer
from steer_assets.scoring.scorer import Scorer, ScorerUnavailable

MINILM = ScorerSpec(kind="minilm", name="minilm")
CLASSIFIER = ScorerSpec(
    kind="hf_classifier",
    name="twitter-roberta",
    model_id="steer-assets-tests/no-such-model",
    label_map={"negative": -1, "neutral": 0, "positive": 1},
)
ZERO_SHOT = ScorerSpec(
    kind="hf_zero_shot",
    name="bart-mnli",
    model_id="steer-assets-tests/no-such-model",
    label_map={"contradiction": -1, "neutral": 0, "entailment": 1},
    positive="This text is polite.",
    negative="This text is rude.",
)
JUDGE = ScorerSpec(kind="lm_judge", name="judge", positive="Kind? {text}", negative="Cold? {text}")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "minilm", "name": "a", "model_id": "x"}, "takes no model_id"),
        ({"kind": "hf_classifier", "name": "a", "model_id": "x"}, "needs label_map"),
        ({"kind": "lm_judge", "name": "a", "positive": "{text}"}, "needs negative"),
        ({"kind": "minilm", "name": "a", "revision": "main"}, "takes no revision"),
        ({"kind": "minilm", "name": "../a"}, "name"),
        ({"kind": "other", "name": "a"}, "kind"),
        ({"kind": "minilm", "name": "a", "colour": "red"}, "colour"),
    ],
)
def test_incomplete_specs_are_refused(fields: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ScorerSpec(**fields)  # type: ignore[arg-type]


def test_minilm(remembering: MiniLMEncoder, few: list[LabelledText], scorer: MiniLMScorer) -> None:
    spec = ScorerSpec(kind="minilm", name="minilm-2")
    made = make_scorer(spec, few, trait="sentiment", encoder=remembering)
    assert isinstance(made, Scorer)
    assert made.name == "minilm-2"
    texts = ["What a lovely day.", "A dreadful bore."]
    np.testing.assert_array_equal(made.score(texts), scorer.score(texts))


def test_judge() -> None:
    def logits(prompts: list[str]) -> np.ndarray:
        return np.array([[prompt.count("!"), 0.0] for prompt in prompts])

    scorer = make_scorer(JUDGE, judge=Judge(logits, yes=(0,), no=(1,)))
    assert scorer.name == "judge"
    assert scorer.score(["a!"]).tolist() == [0.0]
    with pytest.raises(ScorerUnavailable, match="'judge' asks a language model"):
        make_scorer(JUDGE)


@pytest.mark.parametrize("spec", [CLASSIFIER, ZERO_SHOT])
def test_unreachable_models_are_absent(spec: ScorerSpec) -> None:
    with pytest.raises(ScorerUnavailable, match="no-such-model"):
        make_scorer(spec)
