"""Pieces of a stage's work on its language model: in this process, or spread over engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from steer_assets.pipeline.resuming import Pieces
from steer_assets.pipeline.stage import StageRun
from steer_assets.resources.engines import asked, engines

#: `work(model, **arguments)`, which can be imported and takes `on_progress` besides.
Work = Callable[..., Any]


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
