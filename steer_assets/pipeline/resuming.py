"""A long step computed in pieces, in this process or spread over engines, reported as one count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from steer_assets.pipeline.stage import StageRun
from steer_assets.resources.engines import asked, engines
from steer_assets.resources.progress import Measured, Reporter

#: `work(model, **arguments)`, which can be imported and takes `on_progress` besides.
Work = Callable[..., Any]


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


def spread(
    run: StageRun,
    work: Work,
    calls: Mapping[str, Mapping[str, Any]],
    pieces: Pieces,
    sizes: Mapping[str, int],
    *,
    derivatives: bool = False,
) -> Iterator[tuple[str, Any]]:
    """Results of calls with their names, as they come.

    Args:
        run: its model is what `work` gets.
        work: a function of a library that can be imported by its name.
        calls: arguments by name, cut in the same way wherever they run.
        pieces: counts what is done.
        sizes: units of each call.
        derivatives: whether the model is that for derivatives.
    """
    wanted = asked()
    if wanted is None:
        model = run.derivative_model() if derivatives else run.language_model()
        for name, arguments in calls.items():
            yield name, work(model, **arguments, on_progress=pieces.piece(sizes[name]))
        return
    from steer_assets.lm.engines import on_model

    opening = run.opening(derivatives=derivatives, threads=wanted.cpus)
    names = list(calls)
    asked_for = [on_model(opening, work, arguments) for arguments in calls.values()]
    for number, found in engines(wanted).run(asked_for):
        pieces.finished(sizes[names[number]])
        yield names[number], found
