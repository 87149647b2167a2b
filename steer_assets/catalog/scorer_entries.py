"""Scorers of the catalog. Each entry lists the traits it can score, and how."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from steer_assets.storage.slugs import validate_slug

#: Value of `scorer` in tables for what needs no scorer, and where there is none.
NO_SCORER = "none"
#: Kinds of scorers that are fitted to the labelled texts of a trait.
FITTED = ("minilm", "words")


class TraitUse(BaseModel):
    """How one trait is scored.

    label_map: weight of every label by exact name (`hf_classifier`, `hf_zero_shot`). positive,
    negative: hypotheses (`hf_zero_shot`), or questions with `{text}` (`lm_judge`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    label_map: dict[str, float] = Field(default_factory=dict)
    positive: str | None = None
    negative: str | None = None


class ScorerEntry(BaseModel):
    """One scorer of the catalog. Kinds that are fitted to labelled texts need no traits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scorer: str
    title: Annotated[str, Field(min_length=1)]
    kind: Literal["minilm", "words", "lexicon", "hf_classifier", "hf_zero_shot", "lm_judge"]
    model_id: str | None = None
    revision: str | None = None
    traits: dict[str, TraitUse] = Field(default_factory=dict)

    @field_validator("scorer")
    @classmethod
    def _is_slug(cls, scorer: str) -> str:
        return validate_slug(scorer, "scorer")

    @property
    def folder(self) -> Path:
        """The folder of its weights, if `model_id` is a folder."""
        return Path(self.model_id or "")

    @property
    def drifts(self) -> bool:
        """Whether it uses a hub model whose weights may change under the same name."""
        pinned = re.fullmatch(r"[0-9a-f]{40}", self.revision or "")
        return self.model_id is not None and not pinned and not self.folder.is_dir()

    def use(self, trait: str) -> TraitUse | None:
        """Its settings for `trait`; None if it cannot score it."""
        return TraitUse() if self.kind in FITTED else self.traits.get(trait)
