"""Positions of hypotheses in the order of `stats.verdicts.gatekeeping`; adjusted p-values.

A block of the order is one margin at one layer; v + v_perp at several blocks, compared with v at
the same blocks, forms a separate block. The caller passes one protocol and scorer at a time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from steer_assets.assets.reports._arm_tests import Group, Row, is_signed_mean
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design import gates
from steer_assets.pipeline.design.comparisons import POOLED
from steer_assets.pipeline.design.gates import OF_V, headline_alpha
from steer_assets.stats.verdicts import gatekeeping

#: (layer, whether several blocks are steered) -> headline dose.
Doses = dict[tuple[int, bool], float]


def headline_doses(tests: Sequence[Row], study: Study) -> Doses:
    """The headline dose of each layer, among the doses of v there."""
    found: dict[tuple[int, bool], set[float]] = {}
    for row in tests:
        if row["comparison"] == "efficacy" and row["family"] in OF_V:
            found.setdefault(_where(row), set()).add(row["alpha"])
    return {where: headline_alpha(alphas, study) for where, alphas in found.items()}


def _where(row: Row) -> tuple[int, bool]:
    return row["layer"], row["family"] in gates.SEVERAL


def adjust_efficacies(tests: Sequence[Row], doses: Doses) -> dict[int, float]:
    """Write adjusted p-values of effects over unsteered; return shares of the level by position."""
    blocks: dict[tuple[int, bool], list[int]] = {}
    for at, row in enumerate(tests):
        if row["comparison"] == "efficacy" and not is_signed_mean(row):
            blocks.setdefault(_where(row), []).append(at)
    shares = {}
    for where, places in blocks.items():
        own = [tests[at] for at in places]
        of_v = [row["family"] in OF_V for row in own]
        first = [r["environment"] == POOLED and r["alpha"] == doses.get(where) for r in own]
        for name in ("p_difference", "p_equivalence"):
            p = np.array([row[name] for row in own])
            adjusted, share = gatekeeping.efficacies(p, of_v, first)
            for at, value, part in zip(places, adjusted, share, strict=True):
                tests[at][f"{name}_adjusted"] = float(value)
                shares[at] = float(part)
    return shares


def adjust_groups(
    tests: Sequence[Row], groups: Sequence[Group], doses: Doses, level: float
) -> list[gatekeeping.Adjusted]:
    """Adjusted p-values of families compared with v, in order; those of seeds are set in place."""
    blocks: dict[tuple[Any, ...], list[int]] = {}
    for at, group in enumerate(groups):
        key = (group.reference_id, group.named["layer"], group.named["margin_kind"])
        blocks.setdefault(key, []).append(at)
    found: dict[int, gatekeeping.Adjusted] = {}
    for places in blocks.values():
        hypotheses = [_hypothesis(tests, groups[at], doses) for at in places]
        adjusted = gatekeeping.compared_with_base(hypotheses, alpha=level)
        found |= dict(zip(places, adjusted, strict=True))
    for at, group in enumerate(groups):
        of_seeds = found[at].p_difference_of_seeds
        for place, difference in zip(group.tests, of_seeds, strict=True):
            tests[place]["p_equivalence_adjusted"] = found[at].p_equivalence
            tests[place]["p_difference_adjusted"] = float(difference)
    return [found[at] for at in range(len(groups))]


def _hypothesis(tests: Sequence[Row], group: Group, doses: Doses) -> gatekeeping.Group:
    p = {
        name: np.array([tests[at][name] for at in group.tests])
        for name in ("p_equivalence", "p_difference")
    }
    named = group.named
    where = named["layer"], gates.steers_several(group.reference_id)
    gate = gates.gate(
        named["family"],
        group.reference_id,
        named["environment"],
        usual=named["alpha"] == doses.get(where),
    )
    return gatekeeping.Group(gate, p["p_equivalence"], p["p_difference"])
