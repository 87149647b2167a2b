r"""The dose at which a divergence reaches a given value, for several curves at once.

Vectors of different blocks are compared at equal divergence, not at equal length: a step of one
length is nothing at one block and breaks the texts at another. Along a direction the divergence
grows about as the square of the dose, so that in logarithms of both it is nearly a line.

A curve is first measured at doses a factor of 2 apart around a guess, and further out, a factor of
4 apart, until it crosses the target; then within the bracket of its first crossing: at the dose
that a line through both ends predicts, a little to either side of it, and in the middle, so that
every round at least halves the bracket (in logarithms). All curves are measured together, round by
round: a forward pass that they share is paid once for all of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from steer_assets.geometry.errors import GeometryError

#: Divergences of (curve, dose) pairs, in their order; infinite or NaN where there is none.
Measure = Callable[[list[tuple[int, float]]], Sequence[float]]
#: A bracket that is relatively narrower holds a jump.
_NARROW = 1e-6
_FACTOR = 2.0
_FAR = 4.0  # beyond what was tried first
_AT_ONCE = 4


@dataclass(frozen=True)
class IsoDose:
    """The dose of one curve, and the divergence that was measured there.

    Where the target is not met, `reason` says why, and the dose is the largest one below the
    target (the smallest one tried, where even that is above).
    """

    dose: float
    divergence: float
    reason: str

    @property
    def reached(self) -> bool:
        """Whether the divergence is the target, within the tolerance."""
        return not self.reason


def iso_doses(
    measure: Measure,
    starts: Sequence[float],
    target: float,
    *,
    tolerance: float = 0.015,
    reach: float = 2.0**12,
    rounds: int = 8,
) -> list[IsoDose]:
    """Dose of each curve whose divergence is within `tolerance` (relative) of `target`.

    `starts` are guesses, one per curve; doses are tried up to `reach` times them, and down to as
    small a part. Where a curve crosses the target more than once, it is the first crossing among
    the doses measured. At most `rounds` calls of `measure`, each with at most 4 doses of a curve.
    Raises `GeometryError` for a target, tolerance or guess that is not positive, a reach under 2,
    or a negative divergence.
    """
    if not (target > 0 and tolerance > 0 and reach >= _FACTOR and all(s > 0 for s in starts)):
        raise GeometryError(
            f"target {target}, tolerance {tolerance} and guesses {list(starts)} must be positive, "
            f"reach {reach} at least {_FACTOR:g}"
        )
    curves = [_Curve(target, tolerance, start, start / reach, start * reach) for start in starts]
    for _ in range(rounds):
        asked = [(i, dose) for i, curve in enumerate(curves) for dose in curve.next_doses()]
        if not asked:
            break
        for (i, dose), value in zip(asked, measure(asked), strict=True):
            curves[i].add(dose, float(value))
    return [curve.answer() for curve in curves]


@dataclass
class _Curve:
    target: float
    tolerance: float
    start: float
    smallest: float
    largest: float
    seen: dict[float, float] = field(default_factory=dict)

    def add(self, dose: float, value: float) -> None:
        if value < 0:
            raise GeometryError(f"the divergence at dose {dose:.4g} is negative: {value:.3g}")
        self.seen[dose] = value if np.isfinite(value) else np.inf

    def next_doses(self) -> list[float]:
        """Where to measure next, ascending; nothing where the search has ended."""
        if not self.seen:
            return self._within(self.start * _FACTOR**k for k in range(-2, _AT_ONCE - 2))
        below, above = self._bracket()
        if self._met() is not None or (below and above and above / below < 1 + _NARROW):
            return []
        if above is None:
            return self._within(max(self.seen) * _FAR**k for k in range(1, _AT_ONCE + 1))
        if below is None:
            return self._within(min(self.seen) * _FAR**-k for k in range(1, _AT_ONCE + 1))
        width = np.log(above / below)
        guess = self._predicted(below, above)
        beside = [guess * np.exp(side * width / 16) for side in (-1, 0, 1)]
        middle = float(np.sqrt(below * above))
        return sorted({float(dose) for dose in (*beside, middle) if below < dose < above})

    def _within(self, doses: Iterable[float]) -> list[float]:
        clipped = {min(max(dose, self.smallest), self.largest) for dose in doses}
        return sorted(clipped - set(self.seen))

    def _bracket(self) -> tuple[float | None, float | None]:
        """The last dose below the target before the first one that is not."""
        below = None
        for dose in sorted(self.seen):
            if self.seen[dose] >= self.target:
                return below, dose
            below = dose
        return below, None

    def _predicted(self, below: float, above: float) -> float:
        low, high = self.seen[below], self.seen[above]
        if not (low > 0 and np.isfinite(high)):
            return float(np.sqrt(below * above))
        share = np.log(self.target / low) / np.log(high / low)
        return float(below * (above / below) ** share)

    def _met(self) -> float | None:
        """The dose nearest the target, where it is within the tolerance."""
        best = min(self.seen, key=lambda dose: (abs(self.seen[dose] - self.target), dose))
        return best if abs(self.seen[best] / self.target - 1) <= self.tolerance else None

    def answer(self) -> IsoDose:
        met = self._met()
        if met is not None:
            return IsoDose(met, self.seen[met], "")
        below, above = self._bracket()
        if above is None:
            assert below is not None
            reason = f"stays below {self.target:g} up to a dose of {below:.4g}"
        elif below is None:
            reason = f"is above {self.target:g} even at a dose of {above:.4g}"
        elif above / below < 1 + _NARROW:
            reason = f"jumps over {self.target:g} at a dose of {below:.4g}"
        else:
            reason = f"not found between doses of {below:.4g} and {above:.4g}"
        dose = above if below is None else below
        assert dose is not None
        return IsoDose(dose, self.seen[dose], reason)
