"""Adjusted p-values, power and verdicts: rows of `equivalence_tests` and `family_tests`.

Whether v has an effect, and one larger than the margin, is tested in the environment and at the
dose of each comparison. This is a condition that must hold jointly with the claim (an
intersection-union test) and needs no adjustment.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from steer_assets.assets.reports._adjusted_tests import (
    adjust_efficacies,
    adjust_groups,
    headline_doses,
)
from steer_assets.assets.reports._arm_tests import Compared, Group, Row, is_signed_mean
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design.gates import OF_V
from steer_assets.stats.effects import seed_effects
from steer_assets.stats.validation import Interval
from steer_assets.stats.verdicts import gatekeeping, joint_power
from steer_assets.stats.verdicts.multiplicity import holm
from steer_assets.stats.verdicts.verdict_rules import Grounds, Seeds, of_family, verdict
from steer_assets.storage.schema import own_columns

#: The verdict of a descriptive row.
DESCRIPTIVE = "descriptive"
#: Stands for infinity: more prompts than any study has.
NEVER = 2**31 - 1
_SIGNED_MEAN = (
    "the mean over seeds with their signs, in which opposite seeds cancel: no verdict rests on it"
)


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows of `equivalence_tests` and `family_tests`, without the columns of a whole report."""

    tests: pl.DataFrame
    families: pl.DataFrame


class _Conditions:
    """Inputs of a verdict besides its own numbers."""

    def __init__(self, tests: Sequence[Row], auroc_low: float, study: Study) -> None:
        self.level = study.statistics.significance
        self._shared = {
            "scorer_auroc_low": auroc_low,
            "alpha": self.level,
            "auroc_floor": study.scoring.auroc_floor,
        }
        self._v = {
            (row["vector_id"], row["alpha"], row["environment"]): row
            for row in tests
            if row["comparison"] == "efficacy" and row["family"] in OF_V
        }

    def of(self, row: Row, p_difference: float, p_equivalence: float, margin: float) -> Grounds:
        """Grounds of a row or of its family: whether v has an effect there, and its lower bound."""
        acts, least = self._v_there(row)
        return Grounds(
            p_difference_adjusted=p_difference,
            p_equivalence_adjusted=p_equivalence,
            margin=margin,
            reference_significant=acts,
            reference_least=least,
            **self._shared,
        )

    def _v_there(self, row: Row) -> tuple[bool, float]:
        if row["comparison"] == "efficacy":
            return True, math.inf
        v = self._v.get((row["reference_id"], row["alpha"], row["environment"]))
        acts = v is not None and v["p_difference"] < self.level
        least = max(0.0, v["d_low"], -v["d_high"]) if v is not None and acts else 0.0
        return acts, least


def with_verdicts(compared: Compared, auroc_low: float, study: Study) -> Judged:
    """Adjust p-values in the gatekeeping order; add power, verdicts and their reasons.

    compared: of one protocol and scorer. auroc_low: lower end of that scorer's interval.
    """
    unadjusted = {
        "p_difference": "p_difference_adjusted",
        "p_equivalence": "p_equivalence_adjusted",
    }
    tests = [{**row, **{new: row[p] for p, new in unadjusted.items()}} for row in compared.tests]
    conditions = _Conditions(tests, auroc_low, study)
    doses = headline_doses(tests, study)
    shares = adjust_efficacies(tests, doses)
    adjusted = adjust_groups(tests, compared.groups, doses, conditions.level)
    grouped = {at for group in compared.groups for at in group.tests}
    for at, (row, design) in enumerate(zip(tests, compared.designs, strict=True)):
        if at not in grouped:
            row |= _power(design, conditions.level * shares.get(at, 1.0))
    for group, own in zip(compared.groups, adjusted, strict=True):
        power = _power(group.design, conditions.level * own.share)
        for at in group.tests:
            tests[at] |= power
    for row in tests:
        row |= _verdict(row, conditions)
    pairs = zip(compared.groups, adjusted, strict=True)
    families = [_family(tests, group, own, conditions, study) for group, own in pairs]
    return Judged(_frame("equivalence_tests", tests), _frame("family_tests", families))


def _power(design: joint_power.Design | None, level: float) -> Row:
    """Power of the test as designed, and the number of prompts for 80 % power."""
    if design is None:
        return {"power": 0.0, "n_prompts_needed": NEVER}
    try:
        needed = joint_power.sample_size(design, alpha=level)
    except ValueError:  # an empty margin, or a share of an effect close to zero
        needed = NEVER
    return {"power": joint_power.power(design, alpha=level), "n_prompts_needed": needed}


def _verdict(row: Row, conditions: _Conditions) -> Row:
    if is_signed_mean(row):
        return {"verdict": DESCRIPTIVE, "reason": _SIGNED_MEAN}
    adjusted = row["p_difference_adjusted"], row["p_equivalence_adjusted"]
    grounds = conditions.of(row, *adjusted, row["margin"] / row["unit_sd"])
    found = verdict(grounds, Interval(row["d_low"], row["d_high"]))
    return {"verdict": found.value, "reason": found.reason}


def _family(
    tests: Sequence[Row],
    group: Group,
    adjusted: gatekeeping.Adjusted,
    conditions: _Conditions,
    study: Study,
) -> Row:
    own = [tests[at] for at in group.tests]
    inside = sum(row["p_equivalence"] < conditions.level for row in own)
    n_pairs = [row["n_pairs"] + row["n_further"] for row in own]
    share = seed_effects.share_inside(inside, len(own), level=study.statistics.confidence)
    rms = group.rms
    margin = max(row["margin"] / row["unit_sd"] for row in own)
    found = of_family(
        conditions.of(own[0], adjusted.p_difference, adjusted.p_equivalence, margin),
        Seeds(
            n=len(own),
            n_inside=inside,
            n_different=sum(row["verdict"] == "different" for row in own),
            rms=rms.value if rms else math.nan,
            rms_upper=rms.upper if rms else math.nan,
        ),
    )
    closed = "equivalence" in adjusted.closed and found.value == "inconclusive"
    return {
        **group.named,
        "n_seeds": len(own),
        "look": max(row["look"] for row in own),
        # of all seeds, of v and of unsteered
        "n_texts": sum(n_pairs) + 2 * max(n_pairs),
        "n_inside": inside,
        "share_inside": inside / len(own),
        "share_low": share.low,
        "share_high": share.high,
        "rms_effect": rms.value if rms else None,
        "rms_upper": rms.upper if rms else None,
        "p_equivalence": max(row["p_equivalence"] for row in own),
        "p_difference": float(holm([row["p_difference"] for row in own]).min()),
        "p_equivalence_adjusted": adjusted.p_equivalence,
        "p_difference_adjusted": adjusted.p_difference,
        "power": own[0]["power"],
        "n_prompts_needed": own[0]["n_prompts_needed"],
        "verdict": found.value,
        "reason": found.reason + ("; the headline, not shown, comes before it" if closed else ""),
    }


def _frame(table: str, rows: Sequence[Row]) -> pl.DataFrame:
    schema = own_columns(table, "protocol", "scorer")
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)
