"""Rules for the verdict on a comparison, with a sentence for the reason (specification, section 9).

In this order: ``untestable`` if v has no effect of its own or the scorer cannot separate the
trait's poles; ``equivalent`` if the equivalence test is significant after adjustment; ``different``
if the difference is and the interval is not inside the margin; ``inconclusive`` otherwise. A
difference that is not significant is never evidence of equivalence.

Beyond the specification, ``equivalent`` becomes ``untestable`` if v's own effect is not shown to
exceed the margin, because a vector without effect would then be equivalent too. Trials of
equivalence call this assay sensitivity (ICH E10, "Choice of control group", section 1.5).

Both conditions on v apply to the same environment and dose as the comparison. Effects, interval
ends and margins are in standard deviations of one unsteered text's score, the unit of the page.

A claim on a family of seeds (``of_family``) is an intersection-union: ``equivalent`` if every seed
is, ``different`` if any seed is after adjustment. Opposite effects of seeds therefore do not
cancel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from steer_assets.stats import validation

Value = Literal["equivalent", "different", "inconclusive", "untestable"]

AUROC_FLOOR = 0.7


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict and a sentence that gives its reason."""

    value: Value
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """Inputs of the verdict on a comparison or a family; sizes in SD.

    p_difference_adjusted: adjusted p of the difference test; of a family the smallest of its seeds.
    p_equivalence_adjusted: adjusted p of TOST; of a family that of the largest of its seeds.
    margin: equivalence margin.
    reference_significant: whether v itself has a significant effect over unsteered there.
    reference_least: the smallest size of v's own effect that its interval allows; 0 where the
        interval holds zero, infinite where nothing is compared with v.
    scorer_auroc_low: lower end of the AUROC interval of the scorer.
    alpha: level of the tests.
    auroc_floor: lower limit for the scorer's interval.

    Raises:
        ValueError: a p-value or AUROC outside [0, 1], a negative size, NaN anywhere.
    """

    p_difference_adjusted: float
    p_equivalence_adjusted: float
    margin: float
    reference_significant: bool
    reference_least: float
    scorer_auroc_low: float
    alpha: float = 0.05
    auroc_floor: float = AUROC_FLOOR

    def __post_init__(self) -> None:
        for name in ("p_difference_adjusted", "p_equivalence_adjusted", "scorer_auroc_low"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], not {value}")
        if math.isnan(self.margin):
            raise ValueError("margin is NaN")
        if not self.reference_least >= 0:
            raise ValueError(f"reference_least must be a size, not {self.reference_least}")


def verdict(grounds: Grounds, interval: validation.Interval) -> Verdict:
    """Verdict on one comparison, whose effect has this interval (SD).

    Raises ValueError on interval ends out of order.
    """
    if not interval.low <= interval.high:
        raise ValueError(f"the interval must be in order, got {interval.low} to {interval.high}")
    return _testable(_tested(grounds, interval), grounds)


@dataclass(frozen=True, slots=True)
class Seeds:
    """Summary over the seeds of a family; effects in SD.

    n_inside: seeds whose own equivalence test rejects.
    n_different: seeds with the verdict ``different``.
    rms, rms_upper: root mean square effect and its upper bound; NaN where there is none.
    """

    n: int
    n_inside: int
    n_different: int
    rms: float
    rms_upper: float


def of_family(grounds: Grounds, seeds: Seeds) -> Verdict:
    """Verdict on all seeds of a family.

    Raises ValueError where there is no seed.
    """
    if seeds.n < 1:
        raise ValueError("a family must have a seed")
    p_difference, p_equivalence = grounds.p_difference_adjusted, grounds.p_equivalence_adjusted
    size = "of no common prompt"
    if not math.isnan(seeds.rms):
        size = f"{seeds.rms:.3g} SD, at most {seeds.rms_upper:.3g}"
    shown = (
        f"{seeds.n_inside} of {seeds.n} inside, root mean square effect {size}, "
        f"margin {grounds.margin:.3g} SD"
    )
    if p_equivalence < grounds.alpha:
        words = "every seed is" if seeds.n > 1 else "the difference is"
        found = Verdict(
            "equivalent",
            f"{words} shown to be inside the margin: p = {p_equivalence:.2g}; {shown}",
        )
    elif seeds.n_different:
        found = Verdict(
            "different",
            f"of {seeds.n} {'seeds' if seeds.n > 1 else 'seed'}, {seeds.n_different} differ from v "
            f"significantly (p = {p_difference:.2g}), with an interval that is not inside "
            f"the margin; {shown}",
        )
    else:
        found = Verdict(
            "inconclusive",
            "neither that every seed is inside the margin nor that any differs is shown "
            f"(p = {p_equivalence:.2g} and {p_difference:.2g}); {shown}",
        )
    return _testable(found, grounds)


def _testable(found: Verdict, grounds: Grounds) -> Verdict:
    """``found``, or ``untestable`` if the scorer or v does not support it."""
    if grounds.scorer_auroc_low < grounds.auroc_floor:
        return Verdict(
            "untestable",
            f"the scorer's AUROC may be as low as {grounds.scorer_auroc_low:.2f}, under "
            f"{grounds.auroc_floor}: its scores cannot carry a claim about the trait",
        )
    if not grounds.reference_significant:
        return Verdict(
            "untestable",
            "the base vector itself shows no significant effect over unsteered there: "
            "there is nothing to be equivalent to",
        )
    if found.value == "equivalent" and grounds.reference_least <= grounds.margin:
        return Verdict(
            "untestable",
            f"the base vector's own effect may be as small as {grounds.reference_least:.3g} SD, no "
            "more than the margin: what does nothing would pass for equivalent, too "
            f"({found.reason})",
        )
    return found


def _tested(grounds: Grounds, interval: validation.Interval) -> Verdict:
    p_difference, p_equivalence = grounds.p_difference_adjusted, grounds.p_equivalence_adjusted
    margin, alpha = grounds.margin, grounds.alpha
    shown = f"effect within [{interval.low:.3g}, {interval.high:.3g}] SD, margin {margin:.3g} SD"
    if p_equivalence < alpha:
        if p_difference < alpha:
            detail = f"a difference is detectable (p = {p_difference:.2g}) but inside the margin"
        else:
            detail = "the difference is shown to be inside the margin"
        return Verdict("equivalent", f"{detail}: p = {p_equivalence:.2g}; {shown}")
    if p_difference < alpha and not interval.inside(margin):
        return Verdict(
            "different",
            f"the difference is significant (p = {p_difference:.2g}) and its interval is not "
            f"inside the margin; {shown}",
        )
    if p_difference < alpha:
        detail = "a significant difference, smaller than the margin by its interval but not by test"
    else:
        detail = "neither a difference nor equivalence is shown"
    return Verdict(
        "inconclusive",
        f"{detail} (p = {p_difference:.2g} and {p_equivalence:.2g}); {shown}",
    )
