"""Scores of the texts of one protocol and of `controlled`, as a setting's switches interpret them.

Texts are those of the setting (`layer_offset`, `no_chat_template`, `independent_sampling`). This
module interprets them: `label_substring` and `prompt_included` need no new texts. `controlled` is
restricted to the same prompts and samples, so that two settings differ only in their switches.
"""

import numpy as np
import polars as pl

from steer_assets.catalog.protocols import (
    CONTROLLED,
    SUBSTRING_LABELS,
    Protocol,
    texts_of,
    variants,
)
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design.arms import Arm
from steer_assets.pipeline.design.comparisons import POOLED, Scores
from steer_assets.pipeline.design.protocol_settings import Setting

#: Fewest prompts for a separate d of an environment.
FEWEST = 2


class NotMeasuredError(ValueError):
    """The study has no texts for a number, or the number is undefined for them."""


class NoEffectError(NotMeasuredError):
    """v shows no effect, so a share of it is undefined."""


class ProtocolScores:
    """Scores of one scorer under one protocol and `controlled`, by set of texts.

    scored: rows of `generations` with `score` (text alone) and `prompted` (null for controlled).
    """

    def __init__(self, scored: pl.DataFrame, study: Study, protocol: Protocol, trait: str) -> None:
        self.study, self.protocol, self.trait = study, protocol, trait
        own = scored.filter(pl.col("protocol") == protocol.name)
        same = pl.col("prompt_id").is_in(own["prompt_id"].unique().to_list()) & (
            pl.col("sample") < study.protocol_texts.samples  # type: ignore[union-attr]
        )
        self._scored = scored.filter((pl.col("protocol") != CONTROLLED) | same)
        self._known: dict[tuple[str, bool, bool], Scores] = {}
        ours = pl.col("protocol").is_in([CONTROLLED, *variants(protocol)])
        keys = ["protocol", "vector_id", "alpha"]
        texts = self._scored.filter(ours).select(*keys, "prompt_id").unique()
        n_sets = texts["protocol"].n_unique()
        #: Arms in every set of texts, with their prompts common to all sets: settings must differ
        #: only in their switches.
        self.everywhere: dict[Arm, set[str]] = {}
        by_prompt = texts.group_by("vector_id", "alpha", "prompt_id").agg(pl.len().alias("n_sets"))
        for row in by_prompt.filter(pl.col("n_sets") == n_sets).iter_rows(named=True):
            arm = Arm(row["vector_id"], row["alpha"])
            self.everywhere.setdefault(arm, set()).add(row["prompt_id"])

    def scores(self, setting: Setting) -> Scores:
        """Scores as the setting's switches interpret them."""
        texts = texts_of(self.protocol, setting.on)
        prompted = "prompt_included" in setting.on
        folded = "label_substring" in setting.on and self.trait in SUBSTRING_LABELS
        key = (texts, prompted, folded)
        if key not in self._known:
            score = pl.col("prompted") if prompted else pl.col("score")
            rows = self._scored.filter(pl.col("protocol") == texts).with_columns(
                # Both labels contain the substring, which leaves only the confidence of the
                # classifier.
                score=score.abs() if folded else score
            )
            self._known[key] = Scores(rows)
        return self._known[key]

    def tables(
        self, setting: Setting, arms: list[Arm], environment: str = POOLED
    ) -> list[np.ndarray]:
        """Scores [prompts, samples] of every arm on the prompts common to all of them.

        Raises:
            NotMeasuredError: an arm has no texts, or they share fewer than two prompts.
        """
        scores = self.scores(setting)
        if absent := [arm for arm in arms if arm not in scores.arms]:
            names = ", ".join(f"{arm.vector_id} at {arm.alpha:g}" for arm in absent)
            raise NotMeasuredError(f"{texts_of(self.protocol, setting.on)} has no {names}")
        prompts = self.prompts(setting, arms, environment)
        if len(prompts) < FEWEST:
            raise NotMeasuredError(f"{len(prompts)} prompts in {environment}")
        return [scores.table(arm, prompts) for arm in arms]

    def prompts(self, setting: Setting, arms: list[Arm], environment: str = POOLED) -> list[str]:
        """Prompts that all of the arms have, in every set of texts that includes the arm."""
        known = [self.everywhere[arm] for arm in arms if arm in self.everywhere]
        shared = self.scores(setting).shared(arms, environment)
        return [prompt for prompt in shared if all(prompt in own for own in known)]
