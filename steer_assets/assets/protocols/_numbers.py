"""The number of each published conclusion on texts, at any setting of the switches.

`unmatched_norm`, `no_baseline` and `unsigned_mean_d` need no new texts: this module applies them to
the comparison of scores; `_protocol_scores` selects the scores.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from steer_assets.assets.protocols._protocol_scores import (
    FEWEST,
    NoEffectError,
    NotMeasuredError,
    ProtocolScores,
)
from steer_assets.catalog.traits import ENVIRONMENTS
from steer_assets.geometry.vector_ids import base_id
from steer_assets.pipeline.design import protocol_sites, random_streams
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.comparisons import POOLED
from steer_assets.pipeline.design.protocol_settings import Setting
from steer_assets.pipeline.design.protocol_sites import MATCHED, UNMATCHED
from steer_assets.stats.intervals.stratified import Arms, estimate, mean_d, mean_share
from steer_assets.stats.validation import Estimate
from steer_assets.stats.verdicts import published
from steer_assets.stats.verdicts.equivalence import difference_p


@dataclass(frozen=True, slots=True)
class Number:
    """A number, its value under the null hypothesis, and whether v has an effect."""

    estimate: Estimate
    by_itself: float
    n_prompts: int
    v_acts: bool


@dataclass(frozen=True, slots=True)
class Question:
    """One number of one conclusion at one block."""

    data: ProtocolScores
    setting: Setting
    layer: int
    conclusion: str

    @property
    def dose(self) -> float:
        """The dose used outside the dose sweep."""
        return protocol_sites.headline_dose(self.data.study)

    @property
    def base(self) -> Arm:
        """v at the headline dose."""
        return Arm(base_id(self.layer), self.dose)

    def perpendicular(self, alpha: float) -> list[Arm]:
        """v + v_perp of every seed, with the published length or that of v."""
        family = UNMATCHED if "unmatched_norm" in self.setting.on else MATCHED
        ids = protocol_sites.orthogonal_ids(self.data.study, family, self.layer)
        return [Arm(vector_id, alpha) for vector_id in ids]

    def arms(self, ids: list[str]) -> list[Arm]:
        """The given vectors that every set of texts has, at the headline dose.

        Raises:
            NotMeasuredError: there is none.
        """
        found = [Arm(vector_id, self.dose) for vector_id in ids]
        if not (kept := [arm for arm in found if arm in self.data.everywhere]):
            raise NotMeasuredError(f"not all protocols have texts of {', '.join(ids) or 'any'}")
        return kept

    def doses(self) -> list[float]:
        """Doses at which every set of texts includes v.

        Raises:
            NotMeasuredError: there is one only.
        """
        id_of_base = self.base.vector_id
        found = sorted(arm.alpha for arm in self.data.everywhere if arm.vector_id == id_of_base)
        if len(found) < 2:
            raise NotMeasuredError("not all protocols have texts at two doses")
        return found

    def tables(self, arms: list[Arm], environment: str = POOLED) -> list[np.ndarray]:
        """Scores of every arm at this setting."""
        return self.data.tables(self.setting, arms, environment)

    def estimate(self, strata: list[list[np.ndarray]], statistic: Callable) -> Estimate:
        """The statistic with its interval; paired and clustered unless switched off."""
        settings = self.data.study.statistics
        try:
            return estimate(
                [Arms(tables) for tables in strata],
                statistic,
                clustered="independent_sampling" not in self.setting.on,
                level=settings.confidence,
                n_boot=settings.n_boot,
                rng=random_streams.generator(
                    self.data.study, "protocols", self.conclusion, f"{self.layer}"
                ),
            )
        except ValueError as error:
            raise NotMeasuredError(str(error)) from error

    def v_acts(self) -> bool:
        """Whether v differs from unsteered at this setting; assumed without a baseline."""
        if "no_baseline" in self.setting.on:
            return True
        v, unsteered = self.tables([self.base, UNSTEERED])
        if "independent_sampling" in self.setting.on:
            p = published.unpaired(v, unsteered).p
        else:
            p = difference_p((v - unsteered).mean(axis=1))
        return p < self.data.study.statistics.significance


def measure(asked: tuple[str, str], question: Question) -> Number:
    """The number of (conclusion, quantity).

    Raises:
        NotMeasuredError: the study has no texts for the number, or they leave it undefined.
    """
    return _MEASURES[asked](question)


def _mean_d(question: Question, strata: list[tuple[list[np.ndarray], int]]) -> Number:
    """Mean d over strata: tables and the size of a group, which ends with the reference arm."""
    unsigned = "unsigned_mean_d" in question.setting.on
    pairs, start = [], 0
    for tables, group in strata:
        for first in range(0, len(tables), group):
            base = start + first + group - 1
            pairs += [(start + first + i, base) for i in range(group - 1)]
        start += len(tables)
    number = question.estimate([tables for tables, _ in strata], mean_d(pairs, absolute=unsigned))
    sizes = [tables[0].size for tables, _ in strata]
    by_chance = float(np.mean([published.null_expectation(size) for size in sizes]))
    n_prompts = sum(len(tables[0]) for tables, _ in strata)
    return Number(number, by_chance if unsigned else 0.0, n_prompts, question.v_acts())


def _orthogonal(question: Question) -> Number:
    arms = [*question.perpendicular(question.dose), question.base]
    return _mean_d(question, [(question.tables(arms), len(arms))])


def _alpha(question: Question) -> Number:
    arms: list[Arm] = []
    sweep = question.doses()
    for alpha in sweep:
        arms += [*question.perpendicular(alpha), Arm(question.base.vector_id, alpha)]
    return _mean_d(question, [(question.tables(arms), len(arms) // len(sweep))])


def _environment(question: Question) -> Number:
    arms = [*question.perpendicular(question.dose), question.base]
    strata = []
    for environment in ENVIRONMENTS:
        if len(question.data.prompts(question.setting, arms, environment)) >= FEWEST:
            strata.append((question.tables(arms, environment), len(arms)))
    if len(strata) < 2:
        raise NotMeasuredError(f"{len(strata)} environment with {FEWEST} prompts or more")
    return _mean_d(question, strata)


def _vectors(question: Question) -> Number:
    ids = protocol_sites.other_estimate_ids(question.data.study, question.layer)
    arms = [*question.arms(ids), question.base]
    return _mean_d(question, [(question.tables(arms), len(arms))])


def _share(question: Question, ids: list[str]) -> Number:
    tables = question.tables([question.base, UNSTEERED, *question.arms(ids)])
    raw = "no_baseline" in question.setting.on
    # probabilities, as published: raw log-odds have no zero on which a ratio could be based
    if raw:
        tables = [expit(table) for table in tables]
    positions = range(2, len(tables))
    statistic = mean_share(positions, 0, None if raw else 1)
    acts = question.v_acts()
    if not raw and not acts:
        raise NoEffectError("v shows no effect that another's could be a share of")
    number = question.estimate([tables], statistic)
    by_itself = published.raw_ratio(tables[1].ravel(), tables[0].ravel()) if raw else 0.0
    return Number(number, by_itself, len(tables[0]), acts)


def _share_of_v_perp(question: Question) -> Number:
    study = question.data.study
    return _share(question, protocol_sites.orthogonal_ids(study, "orthogonal", question.layer))


def _share_of_subspaces(question: Question) -> Number:
    return _share(question, protocol_sites.spanning_ids(question.data.study, question.layer))


_MEASURES: dict[tuple[str, str], Callable[[Question], Number]] = {
    ("orthogonal_irrelevance", "d"): _orthogonal,
    ("orthogonal_irrelevance", "share_of_v_perp"): _share_of_v_perp,
    ("alpha_robustness", "d"): _alpha,
    ("environment_robustness", "d"): _environment,
    ("vector_equivalence", "d"): _vectors,
    ("spanning", "share_of_subspaces"): _share_of_subspaces,
}
OF_TEXTS = tuple(_MEASURES)
