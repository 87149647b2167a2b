"""Progress of a long step that is computed in pieces, reported as one count."""

from collections.abc import Callable
from dataclasses import dataclass

from steer_assets.resources.progress import Measured, Reporter


@dataclass(frozen=True, slots=True)
class _Count:
    done: int
    total: int
    unit: str
    tokens_per_second: float | None


class Pieces:
    """Counts units over pieces of known sizes; pieces already stored count at once."""

    def __init__(self, report: Reporter, total: int, unit: str) -> None:
        self._report, self._total, self._unit = report, total, unit
        self._before = 0

    def finished(self, n: int) -> None:
        """Count a stored piece of `n` units."""
        self._before += n
        self._report.found(_Count(self._before, self._total, self._unit, None), n)

    def piece(self, n: int) -> Callable[[Measured], None]:
        """A progress listener for the next piece of `n` units."""
        before = self._before
        self._before += n

        def listener(measured: Measured) -> None:
            share = n * measured.done // max(1, measured.total)
            self._report(
                _Count(before + share, self._total, self._unit, measured.tokens_per_second)
            )

        return listener
