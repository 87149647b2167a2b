"""Findings on a published conclusion from its number, and the deciding switch.

A conclusion is defined by a region in which its number must lie, and the value of no difference, if
there is one. As published, the number itself decides, without interval or test. With a test, the
finding is ``holds`` if the whole interval lies in the region; ``fails`` if it lies outside, or
excludes the value of no difference and is not inside (as in a verdict); ``undecided`` otherwise, or
if the method gives any model a number in the region; ``untestable`` if v has no effect of its own
or the scorer is not valid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from steer_assets.stats.validation import Estimate

Finding = Literal["holds", "fails", "undecided", "untestable"]


@dataclass(frozen=True, slots=True)
class Region:
    """The region of the number in which the conclusion holds, and the value of no difference."""

    low: float
    high: float
    none: float | None = None


def published_region(quantity: str, *, margin_sd: float, margin_share: float) -> Region:
    """The region in which the number of a published conclusion must lie.

    d within the margin in standard deviations; shares of v's effect within the margin around 0
    (v_perp alone) or around 1 (subspaces); a divergence below that share of v's own; a distance
    smaller than the control's by more than that share. A null space counts as large above half of
    the dimensions.
    """
    match quantity:
        case "d":
            return Region(-margin_sd, margin_sd, 0.0)
        case "share_of_v_perp":
            return Region(-margin_share, margin_share, 0.0)
        case "share_of_subspaces":
            return Region(1 - margin_share, 1 + margin_share)
        case "kl_share":
            return Region(-math.inf, margin_share)
        case "distance_reduction":
            return Region(margin_share, math.inf)
        case _:
            return Region(0.5, math.inf)


def reading(
    number: Estimate,
    region: Region,
    *,
    tested: bool,
    believable: bool = True,
    of_any: float | None = None,
) -> Finding:
    """The finding from one number.

    Args:
        number: value and interval.
        region: the region required by the conclusion.
        tested: judged by the interval; otherwise by the value, as published.
        believable: v has an effect of its own, and the scorer is valid for the trait.
        of_any: the number that the method gives any model (a sampling floor), if there is one.

    Raises:
        ValueError: a number that is not finite, or an interval out of order.
    """
    if not all(map(math.isfinite, (number.value, number.low, number.high))):
        raise ValueError(f"a reading needs finite numbers, got {number}")
    if number.low > number.high:
        raise ValueError(f"the interval must be in order, got {number.low} to {number.high}")
    if not believable:
        return "untestable"
    if not tested:
        return "holds" if region.low < number.value < region.high else "fails"
    inside = region.low < number.low and number.high < region.high
    if inside and of_any is not None and region.low < of_any < region.high:
        return "undecided"
    if inside:
        return "holds"
    if number.high <= region.low or number.low >= region.high:
        return "fails"
    none = region.none
    return "fails" if none is not None and not number.low <= none <= number.high else "undecided"


def deciding(
    as_published: Finding, controlled: Finding, without: Mapping[str, Finding]
) -> list[str]:
    """Switches that change the finding when turned off separately; empty if both protocols agree.

    Those whose finding equals that of ``controlled`` take precedence and exclude the others.
    """
    if as_published == controlled:
        return []
    exact = [switch for switch, finding in without.items() if finding == controlled]
    return exact or [switch for switch, finding in without.items() if finding != as_published]
