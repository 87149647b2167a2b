"""The language model as a judge: the generation for `lm_judge`, and its validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from steer_assets.pipeline.stage import StageRun

if TYPE_CHECKING:
    from steer_assets.lm.model import LanguageModel
    from steer_assets.scoring.registry import Judge

_YES = ("Yes", " Yes", "yes", " yes", "YES")
_NO = ("No", " No", "no", " no", "NO")


def make_judge(run: StageRun) -> Judge:
    """The unsteered model of the partition, prompted through its chat template."""
    from steer_assets.lm.measurements.logits import next_token_logits
    from steer_assets.scoring.registry import Judge

    def logits(prompts: list[str]) -> np.ndarray:
        # Looked up on each call: another model may have been loaded in the meantime.
        model = run.language_model()
        ids = model.encode_questions(prompts)
        none = np.empty((0, model.hidden_size))
        return np.stack([row[0] for _, row in next_token_logits(model, ids, [()], none)])

    model = run.language_model()
    return Judge(logits, _single_tokens(model, _YES), _single_tokens(model, _NO))


def _single_tokens(model: LanguageModel, words: tuple[str, ...]) -> tuple[int, ...]:
    """Token ids of those words that are a single token."""
    ids = [model.tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    return tuple(sorted({int(own[0]) for own in ids if len(own) == 1}))
