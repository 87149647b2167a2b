"""A number with its interval, or the reason why it does not exist."""

from __future__ import annotations

from dataclasses import dataclass

from steer_assets.stats.validation import Estimate


@dataclass(frozen=True, slots=True)
class Measured:
    """A number of `n_prompts` prompts, and the value that the method gives any model.

    number: None where it could not be measured; `reason` then says why, and is empty otherwise.
        by_itself: None where no bound is known.
    """

    number: Estimate | None
    by_itself: float | None
    n_prompts: int
    reason: str = ""

    def columns(self) -> dict[str, object]:
        """Columns as in tables; null where the number does not exist."""
        number = self.number
        return {
            "value": number and number.value,
            "low": number and number.low,
            "high": number and number.high,
            "by_itself": self.by_itself,
            "n_prompts": self.n_prompts,
            "reason": self.reason,
        }
