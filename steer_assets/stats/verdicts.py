"""What may be said of a comparison, and why, in words (specification, section 9).

In this order: ``untestable`` where v shows no effect of its own or the scorer cannot tell the
trait; ``equivalent`` where the equivalence test is significant after adjustment; ``different``
where the difference is and the interval is not inside the margin; ``inconclusive`` otherwise.
Finding no difference is never evidence of equivalence.

Beyond the specification: what would be ``equivalent`` is ``untestable`` where v's own effect is not
shown to exceed the margin, for then a vector that does nothing would be equivalent, too. Trials of
equivalence call this assay sensitivity (ICH E10, "Choice of control group", section 1.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from steer_assets.stats import inputs

Value = Literal["equivalent", "different", "inconclusive", "untestable"]

AUROC_FLOOR = 0.7


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict and a sentence that gives its reason."""

    value: Value
    reason: str


def verdict(
    *,
    p_difference_adjusted: float,
    p_equivalence_adjusted: float,
    ci_low: float,
    ci_high: float,
    margin: float,
    reference_significant: bool,
    reference_least: float,
    scorer_auroc_low: float,
    alpha: float = 0.05,
    auroc_floor: float = AUROC_FLOOR,
) -> Verdict:
    """Verdict on one comparison.

    Args:
        p_difference_adjusted: adjusted p of the difference test.
        p_equivalence_adjusted: adjusted p of TOST.
        ci_low: lower end of the interval of the effect (score units).
        ci_high: upper end.
        margin: equivalence margin (score units).
        reference_significant: whether v itself has a significant effect over unsteered.
        reference_least: the smallest size of v's own effect that its interval allows (score units);
            0 where the interval holds zero, infinite where nothing is compared with v.
        scorer_auroc_low: lower end of the AUROC interval of the scorer.
        alpha: level of the tests.
        auroc_floor: AUROC that the scorer's interval must not reach below.

    Raises:
        ValueError: a p-value or AUROC outside [0, 1], interval ends out of order, NaN anywhere.
    """
    for name, value in (
        ("p_difference_adjusted", p_difference_adjusted),
        ("p_equivalence_adjusted", p_equivalence_adjusted),
        ("scorer_auroc_low", scorer_auroc_low),
    ):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie in [0, 1], not {value}")
    if not ci_low <= ci_high:
        raise ValueError(f"the interval must be in order, got {ci_low} to {ci_high}")
    if math.isnan(margin):
        raise ValueError("margin is NaN")
    if not reference_least >= 0:
        raise ValueError(f"reference_least must be a size, not {reference_least}")
    if scorer_auroc_low < auroc_floor:
        return Verdict(
            "untestable",
            f"the scorer's AUROC may be as low as {scorer_auroc_low:.2f}, under {auroc_floor}: "
            "its scores cannot carry a claim about the trait",
        )
    if not reference_significant:
        return Verdict(
            "untestable",
            "the base vector itself shows no significant effect over unsteered: "
            "there is nothing to be equivalent to",
        )
    found = _tested(
        p_difference_adjusted,
        p_equivalence_adjusted,
        inputs.Interval(ci_low, ci_high),
        margin,
        alpha,
    )
    if found.value == "equivalent" and reference_least <= margin:
        return Verdict(
            "untestable",
            f"the base vector's own effect may be as small as {reference_least:.3g}, no more than "
            f"the margin: what does nothing would pass for equivalent, too ({found.reason})",
        )
    return found


def _tested(
    p_difference: float,
    p_equivalence: float,
    interval: inputs.Interval,
    margin: float,
    alpha: float,
) -> Verdict:
    shown = f"effect within [{interval.low:.3g}, {interval.high:.3g}], margin {margin:.3g}"
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
