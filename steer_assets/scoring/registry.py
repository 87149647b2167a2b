"""Builds scorers from their specifications."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from steer_assets.scoring.embedded.encoder import MiniLMEncoder
from steer_assets.scoring.embedded.minilm import fit_minilm
from steer_assets.scoring.labelled import LabelledText
from steer_assets.scoring.lexicon import LexiconScorer
from steer_assets.scoring.lm_judge import LMJudge
from steer_assets.scoring.pretrained.transformer_scorers import hf_classifier, hf_zero_shot
from steer_assets.scoring.scorer import Scorer, ScorerUnavailable
from steer_assets.scoring.words import fit_words

Kind = Literal["minilm", "words", "lexicon", "hf_classifier", "hf_zero_shot", "lm_judge"]


class ScorerSpec(BaseModel):
    """A scorer as a catalog describes it.

    Attributes:
        kind: which scorer.
        name: key in ``classifier_scores`` and ``scorer_validation``.
        model_id: hub id or folder (``hf_classifier``, ``hf_zero_shot``).
        revision: commit, tag or branch on the hub.
        label_map: weight of every label of the model by exact name (``hf_*``).
        positive: for the positive pole, a hypothesis (``hf_zero_shot``) or a prompt with ``{text}``
            (``lm_judge``).
        negative: the same for the negative pole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")
    model_id: str | None = None
    revision: str | None = None
    label_map: dict[str, float] = Field(default_factory=dict)
    positive: str | None = None
    negative: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        pretrained = self.kind in ("hf_classifier", "hf_zero_shot")
        asks = self.kind in ("hf_zero_shot", "lm_judge")
        for field, wanted in {
            "model_id": pretrained,
            "label_map": pretrained,
            "positive": asks,
            "negative": asks,
        }.items():
            if bool(getattr(self, field)) != wanted:
                state = "needs" if wanted else "takes no"
                raise ValueError(f"scorer {self.name!r} of kind {self.kind} {state} {field}")
        if self.revision is not None and not pretrained:
            raise ValueError(f"scorer {self.name!r} of kind {self.kind} takes no revision")
        return self


@dataclass(frozen=True)
class Judge:
    """The language model of ``lm_judge``: its next-token logits, and its yes and no tokens."""

    next_token_logits: Callable[[list[str]], np.ndarray]
    yes: tuple[int, ...]
    no: tuple[int, ...]


def make_scorer(
    spec: ScorerSpec,
    labelled: Sequence[LabelledText] = (),
    *,
    trait: str = "",
    encoder: MiniLMEncoder | None = None,
    judge: Judge | None = None,
) -> Scorer:
    """Build the scorer a spec describes.

    Args:
        spec: the description.
        labelled: texts to fit on (``minilm``, ``words``).
        trait: the trait's key (``minilm``).
        encoder: a loaded encoder to share (``minilm``); loaded here if None.
        judge: the language model (``lm_judge``).

    Raises:
        ScorerUnavailable: if its model is not available.
        ValueError: if the spec does not fit the model or the texts.
    """
    if spec.kind == "minilm":
        return fit_minilm(trait, labelled, encoder or MiniLMEncoder.load(), name=spec.name)
    if spec.kind == "words":
        return fit_words(labelled, name=spec.name)
    if spec.kind == "lexicon":
        return LexiconScorer(spec.name)
    if spec.kind == "hf_classifier":
        return hf_classifier(spec.name, spec.model_id or "", spec.label_map, revision=spec.revision)
    positive, negative = spec.positive or "", spec.negative or ""
    if spec.kind == "hf_zero_shot":
        return hf_zero_shot(
            spec.name,
            spec.model_id or "",
            spec.label_map,
            positive_hypothesis=positive,
            negative_hypothesis=negative,
            revision=spec.revision,
        )
    if judge is None:
        raise ScorerUnavailable(f"scorer {spec.name!r} asks a language model, and none is at hand")
    return LMJudge(spec.name, judge.next_token_logits, judge.yes, judge.no, positive, negative)
