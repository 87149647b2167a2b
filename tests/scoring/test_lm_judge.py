import numpy as np
import pytest

from steer_assets.scoring.lm_judge import LMJudge
from steer_assets.scoring.scorer import Scorer

YES, NO = (3, 5), (1,)


class Model:
    """Yes logits grow with the exclamation marks of a prompt; counts what it is asked."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, prompts: list[str]) -> np.ndarray:
        self.batches.append(prompts)
        logits = np.zeros((len(prompts), 8), dtype=np.float32)
        for row, prompt in enumerate(prompts):
            logits[row, 3] = prompt.count("!") * (1 if prompt.startswith("P") else -1)
            logits[row, 5] = -1.0
            logits[row, 1] = 0.5
            logits[row, 7] = 1e4
        return logits


def judge(model: Model, **changes: object) -> LMJudge:
    options: dict[str, object] = {
        "name": "judge",
        "next_token_logits": model,
        "yes": YES,
        "no": NO,
        "positive_question": "P: {text}?",
        "negative_question": "N: {text}?",
    }
    return LMJudge(**(options | changes))  # type: ignore[arg-type]


def test_log_odds_by_hand_in_any_batch() -> None:
    texts = ["a", "b!!", "c!"]
    for batch_size in (1, 2, 16):
        model = Model()
        scores = judge(model, batch_size=batch_size).score(texts)
        marks = np.array([0.0, 2.0, 1.0])
        expected = np.logaddexp(marks, -1) - np.logaddexp(-marks, -1)
        np.testing.assert_allclose(scores, expected, atol=1e-6)
        assert max(map(len, model.batches)) <= batch_size
    assert isinstance(judge(Model()), Scorer)
    assert judge(Model()).score([]).shape == (0,)


def test_braces_and_surrogates_reach_the_prompt() -> None:
    model = Model()
    judge(model).score(["{text} {0} \ud800"])
    assert model.batches[0] == ["P: {text} {0} ??"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"yes": ()}, "0 yes and 1 no tokens"),
        ({"no": (3,)}, "token 3 is both"),
        ({"positive_question": "no placeholder"}, "exactly once"),
        ({"negative_question": "{text} {text}"}, "exactly once"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge(Model(), **changes)


def test_wrong_logits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits \[1, 4\] for 2 prompts and token 5"):
        judge(Model(), next_token_logits=lambda prompts: np.zeros((1, 4))).score(["a", "b"])
    with pytest.raises(ValueError, match="not finite"):
        judge(Model(), next_token_logits=lambda p: np.full((len(p), 8), np.nan)).score(["a"])
