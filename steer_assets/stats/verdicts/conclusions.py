"""What a number says about a published conclusion, and which switch decides.

A conclusion is a region in which its number must lie, and the value that means no difference (where
there is one). Read as published, the number alone decides: no interval, no test. Read with a test:
``holds`` where the whole interval lies in the region, ``fails`` where it lies outside, or excludes
the value of no difference and is not inside (as a verdict does); ``undecided`` otherwise, and where
the method would give any model a number in the region, whatever is true; ``untestable`` where v has
no effect of its own or the scorer cannot be believed.
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
    """Where the number must lie for the conclusion to hold, and the value of no difference."""

    low: float
    high: float
    none: float | None = None


def published_region(quantity: str, *, margin_sd: float, margin_share: float) -> Region:
    """Where the number of a published conclusion must lie for it to hold.

    d within the margin in standard deviations; shares of v's effect within the margin around
    nothing (v_perp alone) or around all of it (subspaces); a divergence below that share of v's
    own; a distance smaller than the control's by more than that share. A null space counts as large
    above half of the dimensions.
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
    """What one number says.

    Args:
        number: value and interval.
        region: what the conclusion needs.
        tested: by the interval, or by the value alone as published.
        believable: v has an effect of its own, and the scorer can tell the trait.
        of_any: the number that the method gives whatever is true (a sampling floor), if there is
            one.

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
    """Switches that, off alone, change the finding; none where both protocols agree.

    Those that alone give what ``controlled`` gives come first and exclude the others.
    """
    if as_published == controlled:
        return []
    exact = [switch for switch, finding in without.items() if finding == controlled]
    return exact or [switch for switch, finding in without.items() if finding != as_published]
