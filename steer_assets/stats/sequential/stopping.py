"""Whether the comparison of a family of seeds with v goes on after a look.

A claim of equivalence is on all seeds, a claim of difference on any (intersection-union; Berger
1982), so that a family has two p-values and two conditional powers:

    equivalence   of the seed with the largest p-value
    difference    of the seed with the smallest one, two-sided

The family stops where either claim is decided, or where both are hopeless: less than
``HOPELESS`` conditional power each. Stopping a hopeless comparison can only lower the rate of false
claims, because the boundaries are those of a study that does not stop for it.

The largest of several p-values is partly the largest noise: its seed will not go on as badly.
The rest of the study is therefore given the mean trend of all seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import special

from steer_assets.stats.sequential.looks import (
    conditional_power,
    sequential_p,
    two_sided_sequential_p,
)

Decision = Literal["equivalent", "different", "hopeless", "open"]
#: Conditional power below which a claim is not pursued.
HOPELESS = 0.1
_LEAST, _MOST = 1e-300, 1 - 1e-16


@dataclass(frozen=True, slots=True)
class SeedTests:
    """Tests of every seed at every look so far, [seeds, looks], each on all prompts up to it.

    p_equivalence: of two one-sided tests. p_difference: two-sided. effect: its sign is that of the
    difference.
    """

    p_equivalence: Float[np.ndarray, "s k"]
    p_difference: Float[np.ndarray, "s k"]
    effect: Float[np.ndarray, "s k"]

    @property
    def look(self) -> int:
        """The look just taken, from 0."""
        return int(self.p_equivalence.shape[1]) - 1


@dataclass(frozen=True, slots=True)
class Standing:
    """What a family's claims stand at.

    shown: whether equivalence and difference are significant after adjustment. inside: whether the
    interval of the difference lies inside the margin, which bars the verdict ``different``.
    v_acts, v_exceeds: whether v has an effect, and one larger than the margin.
    power_equivalence, power_difference: conditional powers.
    """

    equivalence_shown: bool
    difference_shown: bool
    inside: bool
    v_acts: bool
    v_exceeds: bool
    power_equivalence: float
    power_difference: float


def sequential(
    tests: SeedTests, looks: Sequence[float]
) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """Sequential p-values of every seed: of equivalence, and of difference (two-sided)."""
    same = [sequential_p(row.tolist(), looks) for row in tests.p_equivalence]
    differs = [
        two_sided_sequential_p(p.tolist(), effect.tolist(), looks)
        for p, effect in zip(tests.p_difference, tests.effect, strict=True)
    ]
    return np.array(same), np.array(differs)


def powers(
    tests: SeedTests, looks: Sequence[float], *, equivalence: float, difference: float
) -> tuple[float, float]:
    """Conditional powers of both claims of a family at their levels.

    Args:
        tests: of the family.
        looks: information fractions of the study.
        equivalence, difference: levels of the claims; of difference two-sided, for one seed.
    """
    now = np.clip(tests.p_equivalence[:, -1], _LEAST, _MOST)
    trend = float(-special.ndtri(now).mean() / np.sqrt(looks[tests.look]))
    return (
        conditional_power(float(now.max()), tests.look, looks, equivalence, drift=trend),
        power_of_difference(float(tests.p_difference[:, -1].min()), tests.look, looks, difference),
    )


def power_of_difference(p: float, look: int, looks: Sequence[float], level: float) -> float:
    """Conditional power of a two-sided test in the direction of its trend."""
    return conditional_power(p / 2, look, looks, level / 2)


def decide(standing: Standing, *, last: bool) -> Decision:
    """What follows from a look; at the last one, what is not decided stays open."""
    if standing.v_acts and standing.equivalence_shown and standing.v_exceeds:
        return "equivalent"
    apart = standing.difference_shown and not standing.inside
    if standing.v_acts and apart and not standing.equivalence_shown:
        return "different"
    hopeless = max(standing.power_equivalence, standing.power_difference) < HOPELESS
    return "hopeless" if hopeless and not last else "open"
