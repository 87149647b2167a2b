"""The order of hypotheses keeps the family-wise error that its module states."""

import numpy as np

from steer_assets.stats.verdicts import gatekeeping
from steer_assets.stats.verdicts.gatekeeping import Group
from tests.sizes import simulated

GATES = ("headline", "doses", "environments", "environments", "families", "families", "rest")


def _groups(rng: np.random.Generator, true: np.ndarray) -> list[Group]:
    """Two seeds a group; where a null is not `true` its p-values are zero."""
    p = np.where(true[:, None], rng.uniform(size=(len(GATES), 2)), 0.0)
    return [Group(g, q, q) for g, q in zip(GATES, p, strict=True)]


def test_false_claims_of_either_kind_are_as_rare_as_stated():
    rng = np.random.default_rng(0)
    n, chain = simulated(1500), np.array([g not in ("families", "rest") for g in GATES])
    for trial in range(4):
        true = rng.random(len(GATES)) < 0.6
        true[0] = trial % 2 == 0
        wrong = np.zeros((2, 2))
        for _ in range(n):
            found = gatekeeping.compared_with_base(_groups(rng, true))
            claims = np.array([[f.p_equivalence < 0.05, f.p_difference < 0.05] for f in found])
            for row, own in enumerate((chain, ~chain)):
                wrong[row] += claims[own & true].any(axis=0)
        assert (wrong / n <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)).all(), (true, wrong / n)


def test_a_closed_gate_stays_closed_and_says_so():
    low, high = np.array([1e-6, 1e-6]), np.array([0.4, 0.9])
    head, dose = gatekeeping.compared_with_base([Group("headline", high, high),
                                                 Group("doses", low, low)])  # fmt: skip
    assert head.closed == ()
    assert dose.closed == ("equivalence", "difference")
    assert dose.p_equivalence == head.p_equivalence == 0.9
