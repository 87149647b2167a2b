"""Which blocks to steer at: those where v moves the score most per nat while texts stay fluent.

Every candidate is judged at its own dose. A block is steerable where the mean paired effect is
above zero: the lower end of its one-sided t interval over prompts, at a level shared by all
candidates (Bonferroni), because the best of many looks better than it is. What follows from a
choice must be tested on other prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import t

from steer_assets.stats import validation


@dataclass(frozen=True)
class Candidate:
    """One block at one dose: paired effects [n] over prompts, and what they cost.

    divergence: from unsteered, nats. fluent: whether its texts are still language.
    """

    block: int
    effects: Float[np.ndarray, " n"]
    divergence: float
    fluent: bool


@dataclass(frozen=True)
class Judged:
    """A candidate with its mean effect, the lower bound of it, and the effect per nat."""

    block: int
    effect: float
    low: float
    per_nat: float
    fluent: bool

    @property
    def steerable(self) -> bool:
        """Whether v moves the score here, beyond what chance gives the best of all candidates."""
        return self.low > 0


@dataclass(frozen=True)
class Choice:
    """Blocks, best first; `reason` says why none is steerable, where they are only the best."""

    blocks: tuple[int, ...]
    reason: str


def judge(
    candidates: Sequence[Candidate], *, among: int, significance: float = 0.05
) -> list[Judged]:
    """Each candidate by itself, in the order given; `among` how many the choice is made.

    Raises:
        ValueError: among < 1, fewer than two prompts, effects or a divergence that are not finite.
    """
    if among < 1:
        raise ValueError(f"a choice among {among} blocks is none")
    validation.level(1 - significance)
    return [_judged(one, significance / among) for one in candidates]


def _judged(candidate: Candidate, level: float) -> Judged:
    values = validation.vector(candidate.effects, f"effects at block {candidate.block}")
    if not (np.isfinite(candidate.divergence) and candidate.divergence > 0):
        raise ValueError(
            f"block {candidate.block}: a divergence of {candidate.divergence} gives no effect per "
            "nat"
        )
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    low = mean - float(t.ppf(1 - level, len(values) - 1)) * error
    return Judged(candidate.block, mean, low, mean / candidate.divergence, candidate.fluent)


def choose(judged: Sequence[Judged], n: int) -> Choice:
    """The best `n` steerable and fluent blocks by effect per nat, fewer where there are fewer.

    Where there is none, the best fluent ones (of all, where no texts are fluent), with a reason.

    Raises:
        ValueError: no candidate, or n < 1.
    """
    if n < 1 or not judged:
        raise ValueError(f"{n} of {len(judged)} blocks cannot be chosen")
    ranked = sorted(judged, key=lambda one: (-one.per_nat, one.block))
    good = [one for one in ranked if one.steerable and one.fluent]
    if good:
        return Choice(tuple(one.block for one in good[:n]), "")
    fluent = [one for one in ranked if one.fluent]
    best = (fluent or ranked)[0]
    why = (
        f"no block is steerable while its texts stay fluent: the best, block {best.block}, moves "
        f"the score by {best.effect:.2g} SD, which may be {best.low:.2g}"
        if fluent
        else f"no block leaves the texts fluent; the best per nat is block {best.block}"
    )
    return Choice(tuple(one.block for one in (fluent or ranked)[:n]), why)
