"""Rows of `look_decisions`: what follows from each look, for every family compared with v."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design import gates, paired_scores, random_streams
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.comparisons import POOLED
from steer_assets.pipeline.design.looks import Family
from steer_assets.pipeline.design.paired_scores import Pair, ScoresByLook
from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.sequential import looks, stopping
from steer_assets.stats.verdicts import gatekeeping
from steer_assets.stats.verdicts.multiplicity import holm

_MARGIN = "sd"


@dataclass(frozen=True, slots=True)
class _OfV:
    """What v does over unsteered: whether it acts, its least size in SD, power to show it acts."""

    acts: bool
    least: float
    power: float


@dataclass(frozen=True, slots=True)
class _Measured:
    """A family after a look.

    estimate: in SD. inside: whether the interval of the seed with the smallest p of difference lies
    inside the margin.
    """

    tests: stopping.SeedTests
    p_equivalence: np.ndarray
    p_difference: np.ndarray
    n_prompts: int
    n_texts: int
    estimate: float
    inside: bool


class Decisions:
    """Decisions of all looks so far."""

    def __init__(
        self, study: Study, families: Sequence[Family], environments: Sequence[str], scorer: str
    ) -> None:
        self._study, self._families, self._scorer = study, families, scorer
        self._environments = environments
        self._shares = study.generation.looks
        self._latest: dict[Family, _Measured] = {}
        #: Families that get no more texts, and why.
        self.closed: dict[Family, stopping.Decision] = {}
        #: Rows of `look_decisions`, without the columns that the partition shares.
        self.rows: list[dict[str, object]] = []

    def after(self, look: int, scored: pl.DataFrame, arms: Collection[Arm]) -> str:
        """Take the look, from 1, with the scores of all texts so far; the result in words.

        arms: those that had texts at this look.
        """
        by_look = ScoresByLook(scored, self._study)
        going = [f for f in self._families if f not in self.closed and {*f.arms} <= {*arms}]
        self._latest |= {family: self._measured(by_look, family) for family in going}
        of_v = {f.reference: self._of_v(by_look, f.reference) for f in going}
        for family, within in self._within().items():
            if family not in going:
                continue
            row = self._row(family, within, of_v[family.reference], look)
            self.rows.append(row)
            if row["decision"] != "open":
                self.closed[family] = row["decision"]  # type: ignore[assignment]
        return self._told(going)

    def _told(self, going: Sequence[Family]) -> str:
        counts: dict[str, int] = {}
        for family in going:
            name = self.closed.get(family, "open")
            counts[name] = counts.get(name, 0) + 1
        return ", ".join(f"{n} {name}" for name, n in sorted(counts.items())) or "nothing to decide"

    def _measured(self, by_look: ScoresByLook, family: Family) -> _Measured:
        pairs = [by_look.pairs((arm,), family.reference, POOLED) for arm in family.arms]
        found = [paired_scores.tests(own, _MARGIN, self._shares) for own in pairs]
        tests = stopping.SeedTests(
            np.array([one.p_equivalence for one in found]),
            np.array([one.p_difference for one in found]),
            np.array([one.effect for one in found]),
        )
        same, differs = stopping.sequential(tests, self._shares)
        last = [own[-1] for own in pairs]
        sizes = [_effect(pair) for pair in last]
        n_pairs = [0 if pair is None else pair.n_pairs for pair in last]
        tail = (1 - self._study.statistics.confidence) / 2
        return _Measured(
            tests=tests,
            p_equivalence=same,
            p_difference=differs,
            n_prompts=max(0 if pair is None else len(pair.a) for pair in last),
            n_texts=sum(n_pairs) + 2 * max(n_pairs),
            estimate=max(sizes, key=abs),
            inside=bool(tests.p_equivalence[tests.p_difference[:, -1].argmin(), -1] < tail),
        )

    def _of_v(self, by_look: ScoresByLook, v: Arm) -> _OfV:
        """By the tests that verdicts require of v in the environment and at the dose."""
        settings, pairs = self._study.statistics, by_look.pairs((v,), UNSTEERED, POOLED)
        tests = paired_scores.tests(pairs, _MARGIN, self._shares)
        p = looks.two_sided_sequential_p(tests.p_difference, tests.effect, self._shares)
        level, pair = settings.significance, pairs[-1]
        if pair is None:
            return _OfV(False, 0.0, 1.0)
        if p < level:
            difference = (pair.a - pair.b).mean(axis=1) / pair.unit.sd
            interval = bootstrap.mean(
                difference,
                level=settings.confidence,
                n_boot=settings.n_boot,
                rng=random_streams.generator(self._study, "looks", v.vector_id, f"{v.alpha}"),
            )
            return _OfV(True, max(0.0, interval.low, -interval.high), 1.0)
        power = stopping.power_of_difference(
            tests.p_difference[-1], len(pairs) - 1, self._shares, level
        )
        return _OfV(False, 0.0, power)

    def _within(self) -> dict[Family, gatekeeping.Within]:
        """Every family in its gate, beside hypotheses on single environments, not tested here."""
        blocks: dict[str, list[Family]] = {}
        for family in self._families:
            blocks.setdefault(family.reference.vector_id, []).append(family)
        found: dict[Family, gatekeeping.Within] = {}
        for own in blocks.values():
            usual = gates.headline_alpha({f.reference.alpha for f in own}, self._study)
            groups = [self._group(f, POOLED, usual == f.alpha) for f in own]
            groups += [self._group(f, e, usual == f.alpha) for e in self._environments for f in own]
            found |= dict(zip(own, gatekeeping.within_gates(groups)[: len(own)], strict=True))
        return found

    def _group(self, family: Family, environment: str, usual: bool) -> gatekeeping.Group:
        gate = gates.gate(family.family, family.reference.vector_id, environment, usual=usual)
        if environment != POOLED:
            nothing = np.ones(len(family.arms))
            return gatekeeping.Group(gate, nothing, nothing)
        measured = self._latest[family]
        return gatekeeping.Group(gate, measured.p_equivalence, measured.p_difference)

    def _row(
        self, family: Family, within: gatekeeping.Within, v: _OfV, look: int
    ) -> dict[str, object]:
        measured, settings = self._latest[family], self._study.statistics
        level, last = settings.significance, look == len(self._shares)
        powers = stopping.powers(
            measured.tests,
            self._shares,
            equivalence=level * within.share_equivalence,
            difference=level * within.share_difference,
        )
        standing = stopping.Standing(
            equivalence_shown=within.p_equivalence < level,
            difference_shown=within.p_difference < level,
            inside=measured.inside,
            v_acts=v.acts,
            v_exceeds=v.least > settings.margin_sd,
            power_equivalence=min(powers[0], v.power),
            power_difference=min(powers[1], v.power),
        )
        return {
            "scorer": self._scorer,
            "family": family.family,
            "null_space": family.null_space,
            "layer": family.layer,
            "alpha": family.alpha,
            "reference_id": family.reference.vector_id,
            "look": look,
            "fraction": self._shares[look - 1],
            "n_seeds": len(family.arms),
            "n_prompts": measured.n_prompts,
            "n_texts": measured.n_texts,
            "estimate": measured.estimate,
            "p_equivalence": float(measured.p_equivalence.max()),
            "p_difference": float(holm(measured.p_difference).min()),
            "p_equivalence_adjusted": within.p_equivalence,
            "p_difference_adjusted": within.p_difference,
            "power_equivalence": standing.power_equivalence,
            "power_difference": standing.power_difference,
            "decision": stopping.decide(standing, last=last),
        }


def _effect(pair: Pair | None) -> float:
    return 0.0 if pair is None else float((pair.a - pair.b).mean()) / pair.unit.sd
