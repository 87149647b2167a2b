"""The gate of a family of seeds in the order of hypotheses (`stats.verdicts.gatekeeping`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from steer_assets.catalog.studies import Study
from steer_assets.geometry.vector_ids import VectorId
from steer_assets.pipeline.design import multi_layer
from steer_assets.pipeline.design.comparisons import POOLED

if TYPE_CHECKING:
    from steer_assets.stats.verdicts.gatekeeping import Gate

HEADLINE_FAMILY = "base_plus_orthogonal"
#: Families whose effect over unsteered counts as that of v.
OF_V = ("base", multi_layer.FAMILY)
#: Families that steer several blocks; they form a block of hypotheses of their own.
SEVERAL = (multi_layer.FAMILY, multi_layer.PLUS)


def headline_alpha(alphas: Iterable[float], study: Study) -> float:
    """The dose at which the Fisher form was computed, or the nearest one with texts."""
    return min(alphas, key=lambda alpha: (abs(alpha - study.behaviour.steered_alpha), alpha))


def steers_several(reference_id: str) -> bool:
    """Whether what is compared with this reference steers several blocks."""
    return VectorId.parse(reference_id).family == multi_layer.FAMILY


def gate(family: str, reference_id: str, environment: str, *, usual: bool) -> Gate:
    """The gate of a comparison with v; `usual`: at the headline dose of its block."""
    own = multi_layer.PLUS if steers_several(reference_id) else HEADLINE_FAMILY
    pooled = environment == POOLED
    if family == own:
        if pooled:
            return "headline" if usual else "doses"
        return "environments" if usual else "rest"
    return "families" if pooled and usual else "rest"
