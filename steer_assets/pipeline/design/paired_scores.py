"""Scores of two arms on the same prompts, with the unit and the margins of their comparison.

The unit of effects and margins is the standard deviation of one unsteered text's score in the
environment. It is the same for every comparison there, including those on a subset of the prompts.

In a study with several looks the tests of a look are on all prompts up to it, whose unit and margin
are theirs as well: what a look shows does not depend on what was generated after it. Samples beyond
those that the study plans, of prompts of the last look, count in its tests alone (`stats`,
`sequential.further`); effects, intervals and units are of the planned samples of all prompts.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.comparisons import Scores
from steer_assets.stats.effects import standardiser
from steer_assets.stats.sequential import further
from steer_assets.stats.verdicts import equivalence, margins


@dataclass(frozen=True, slots=True)
class Pair:
    """Scores [prompts, samples] of both sides, the unit, and margins by kind.

    newest: the prompts of the last look alone, with further samples, if they have any.
    """

    a: np.ndarray
    b: np.ndarray
    unit: standardiser.Spread
    margins: dict[str, equivalence.AnyMargin]
    newest: Pair | None = None

    @property
    def n_pairs(self) -> int:
        """Pairs of texts, with further samples."""
        further = self.newest.a.size - len(self.newest.a) * self.a.shape[1] if self.newest else 0
        return int(self.a.size + further)


@dataclass(frozen=True, slots=True)
class LookTests:
    """Unadjusted tests of one comparison at each look so far: difference and p-values.

    effect: the mean difference; with further samples, the sign of the statistic.
    """

    effect: tuple[float, ...]
    p_equivalence: tuple[float, ...]
    p_difference: tuple[float, ...]


def paired(
    scores: Scores, arms: tuple[Arm, ...], reference: Arm, environment: str, study: Study
) -> Pair | None:
    """None if there are fewer than two prompts, or no variance to define the unit."""
    # Prompts whose unsteered text has no answer have no unit.
    a, b = scores.paired(arms, reference, environment, UNSTEERED)
    everywhere = scores.which([UNSTEERED], environment)
    if len(a) < 2 or everywhere.sum() < 2:
        return None
    unsteered, _ = scores.paired((UNSTEERED,), UNSTEERED, environment)
    unit = standardiser.single(unsteered)
    chosen = scores.which([*arms, reference, UNSTEERED], environment)[everywhere]
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
        every, scored = scored, planned(scored, study)
        self.whole = Scores(scored)
        self._study = study
        self.looks = study.generation.looks
        self._up_to = [self.whole]
        self._look: dict[str, int] = {}
        self._newest: Scores | None = None
        if len(every) > len(scored):
            self._newest = Scores(every.filter(pl.col("look") == len(self.looks)))
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
        found = [paired(scores, arms, reference, environment, self._study) for scores in taken]
        if self._newest is not None and len(found) == len(self.looks) and found[-1] is not None:
            newest = paired(self._newest, arms, reference, environment, self._study)
            found[-1] = dataclasses.replace(found[-1], newest=newest)
        return found


def planned(scored: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Rows of the samples that the study plans, without further ones of the last look."""
    if study.generation.extra == 1:
        return scored
    return scored.filter(pl.col("sample") < study.generation.samples)


@dataclass(frozen=True, slots=True)
class _Test:
    """Mean difference; p-values of both sides of the test of equivalence, and of difference."""

    effect: float
    lower: float
    upper: float
    differs: float


def tests(pairs: list[Pair | None], kind: str, looks: tuple[float, ...]) -> LookTests:
    """Tests at each look by one kind of margin; where a look has too few prompts, nothing shown.

    looks: information fractions of the study.
    """
    found = [_test(pair, kind) for pair in pairs]
    newest = pairs[-1].newest if pairs[-1] is not None else None
    if newest is not None and pairs[-2] is not None:
        found[-1] = _of_both(found[-2], _test(newest, kind), looks[-2])
    return LookTests(
        tuple(one.effect for one in found),
        tuple(max(one.lower, one.upper) for one in found),
        tuple(one.differs for one in found),
    )


def _test(pair: Pair | None, kind: str) -> _Test:
    if pair is None:
        return _Test(0.0, 1.0, 1.0, 1.0)
    difference = (pair.a - pair.b).mean(axis=1)
    margin = pair.margins.get(kind)
    lower = upper = 1.0
    if margin is not None:
        same = equivalence.tost(difference, margin, skewness_guard=True)
        lower, upper = same.p_lower, same.p_upper
    return _Test(float(difference.mean()), lower, upper, equivalence.difference_p(difference))


def _of_both(before: _Test, since: _Test, fraction: float) -> _Test:
    """The test of the last look, by the planned weights of its prompts and of those before."""
    differs, sign = further.two_sided(
        (before.differs, before.effect), (since.differs, since.effect), fraction
    )
    return _Test(
        sign,
        further.one_sided(before.lower, since.lower, fraction),
        further.one_sided(before.upper, since.upper, fraction),
        differs,
    )
