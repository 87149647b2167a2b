"""Scores of two arms on the same prompts, with the unit and the margins of their comparison.

The unit of effects and margins is the standard deviation of one unsteered text's score in the
environment. It is the same for every comparison there, including those on a subset of the prompts.

In a study with several looks the tests of a look are on all prompts up to it, whose unit and margin
are theirs as well: what a look shows does not depend on what was generated after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.comparisons import Scores
from steer_assets.stats.effects import standardiser
from steer_assets.stats.verdicts import equivalence, margins


@dataclass(frozen=True, slots=True)
class Pair:
    """Scores [prompts, samples] of both sides, the unit, and margins by kind."""

    a: np.ndarray
    b: np.ndarray
    unit: standardiser.Spread
    margins: dict[str, equivalence.AnyMargin]


@dataclass(frozen=True, slots=True)
class LookTests:
    """Unadjusted tests of one comparison at each look so far: mean difference and p-values."""

    effect: tuple[float, ...]
    p_equivalence: tuple[float, ...]
    p_difference: tuple[float, ...]


def paired(
    scores: Scores, arms: tuple[Arm, ...], reference: Arm, environment: str, study: Study
) -> Pair | None:
    """None if there are fewer than two prompts, or no variance to define the unit."""
    # Prompts whose unsteered text has no answer have no unit.
    a, b = scores.paired(arms, reference, environment, UNSTEERED)
    everywhere = scores.shared([UNSTEERED], environment)
    if len(a) < 2 or len(everywhere) < 2:
        return None
    unsteered = scores.table(UNSTEERED, everywhere)
    unit = standardiser.single(unsteered)
    own = set(scores.shared([*arms, reference, UNSTEERED], environment))
    chosen = np.array([prompt in own for prompt in everywhere])
    if unit.sd == 0:
        return None
    settings = study.statistics
    found: dict[str, equivalence.AnyMargin] = {
        "sd": margins.standardised(unsteered, settings.margin_sd, chosen=chosen)
    }
    if reference != UNSTEERED:
        v, plain = scores.paired((reference,), UNSTEERED, environment, *arms)
        efficacy = (v - plain).mean(axis=1)
        # A share of an effect that is exactly zero is not a margin.
        if efficacy.mean() != 0:
            found["efficacy"] = margins.relative(efficacy, settings.margin_efficacy)
    return Pair(a, b, unit, found)


class ScoresByLook:
    """Scores of one protocol and scorer, and of the prompts up to each look."""

    def __init__(self, scored: pl.DataFrame, study: Study) -> None:
        self.whole = Scores(scored)
        self._study = study
        self.looks = study.generation.looks
        self._up_to = [self.whole]
        self._look: dict[str, int] = {}
        if len(self.looks) > 1:
            numbers = range(1, len(self.looks) + 1)
            self._up_to = [Scores(scored.filter(pl.col("look") <= k)) for k in numbers]
            self._look = dict(scored.select("prompt_id", "look").unique().iter_rows())

    def last(self, arms: tuple[Arm, ...], reference: Arm, environment: str) -> int:
        """The last look from which all of the arms have texts, from 1."""
        prompts = self.whole.shared([*arms, reference], environment)
        return max((self._look.get(prompt, 1) for prompt in prompts), default=1)

    def pairs(self, arms: tuple[Arm, ...], reference: Arm, environment: str) -> list[Pair | None]:
        """The comparison at every look that all of the arms took part in."""
        taken = self._up_to[: self.last(arms, reference, environment)]
        return [paired(scores, arms, reference, environment, self._study) for scores in taken]


def tests(pairs: list[Pair | None], kind: str) -> LookTests:
    """Tests at each look by one kind of margin; where a look has too few prompts, nothing shown."""
    found = [_test(pair, kind) for pair in pairs]
    effect, same, differs = zip(*found, strict=True)
    return LookTests(effect, same, differs)


def _test(pair: Pair | None, kind: str) -> tuple[float, float, float]:
    if pair is None:
        return 0.0, 1.0, 1.0
    difference = (pair.a - pair.b).mean(axis=1)
    margin = pair.margins.get(kind)
    same = 1.0
    if margin is not None:
        same = equivalence.tost(difference, margin, skewness_guard=True).p
    return float(difference.mean()), same, equivalence.difference_p(difference)
