"""A long step computed in pieces, in this process or spread over engines, reported as one count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from steer_assets.pipeline.depot.engine_models import with_model
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


def to_engines() -> bool:
    """Whether `spread` gives calls to engines, for which a step is cut into more of them."""
    return asked() is not None


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
        work: a function of a library that can be imported by its name. Of an iterator, engines
            give the list.
        calls: arguments by name; results must be the same wherever they run, and in whichever
            order.
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

    opening = run.opening(run.derivative_dtype if derivatives else "")
    names = list(calls)
    asked_for = [on_model(opening, wanted.cpus, work, call) for call in calls.values()]
    if wanted.on_ray:
        asked_for = [with_model(piece, run.model, opening.sha256[0]) for piece in asked_for]
    for number, found in engines(wanted).run(asked_for):
        pieces.finished(sizes[names[number]])
        yield names[number], found


def in_order(names: Iterable[str], found: Iterator[tuple[str, Any]]) -> Iterator[Any]:
    """Results by `names`, where a sum depends on their order; those that come early are held."""
    early: dict[str, Any] = {}
    for name in names:
        while name not in early:
            own, value = next(found)
            early[own] = value
        yield early.pop(name)
