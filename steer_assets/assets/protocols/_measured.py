"""A number that may not exist: with its interval, or with the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from steer_assets.stats.validation import Estimate


@dataclass(frozen=True, slots=True)
class Measured:
    """A number of `n_prompts` prompts, and what the method gives any model.

    number: None where it could not be measured; `reason` then says why in words, and is empty
        otherwise. by_itself: None where no bound is known.
    """

    number: Estimate | None
    by_itself: float | None
    n_prompts: int
    reason: str = ""

    def columns(self) -> dict[str, object]:
        """As tables store it: null where there is no number."""
        number = self.number
        return {
            "value": number and number.value,
            "low": number and number.low,
            "high": number and number.high,
            "by_itself": self.by_itself,
            "n_prompts": self.n_prompts,
            "reason": self.reason,
        }
