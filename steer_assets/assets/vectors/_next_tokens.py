"""Next-token distributions along steps from one point: measured, and predicted by the Fisher form.

Rows of `logit_distances` and `dose_response` are computed from these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.pipeline.design import prompt_selection, scopes
from steer_assets.pipeline.resuming import Pieces, spread
from steer_assets.pipeline.stage import StageRun

if TYPE_CHECKING:
    from steer_assets.lm.forward.scope import Scope
    from steer_assets.lm.model import LanguageModel
    from steer_assets.lm.progress import OnProgress


@dataclass(frozen=True, slots=True)
class Step:
    """`scale` times row `direction` of an array of directions."""

    direction: int
    scale: float


@dataclass(frozen=True, slots=True)
class Asked:
    """Steps at the output of block `layer` from one starting point, at every prompt.

    directions: [k, d]; origin: [d], None for the unsteered model.
    """

    prompts: pl.DataFrame
    layer: int
    directions: np.ndarray
    steps: Sequence[Step]
    origin: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """One prompt: distances [m] of every step from the starting point, and `predicted_kl` [m]."""

    prompt: int
    columns: dict[str, np.ndarray]


def _distinct(states: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Distinct rows of `states`, and for each row the index of its distinct row."""
    places: dict[bytes, int] = {}
    index = [places.setdefault(state.tobytes(), len(places)) for state in states]
    first = [index.index(place) for place in range(len(places))]
    return states[first], index


def measure(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    layer: int,
    directions: np.ndarray,
    steps: Sequence[Step],
    *,
    scope: Scope,
    origin: np.ndarray | None = None,
    on_progress: OnProgress = None,
) -> Iterator[Measured]:
    """Distance of every step's next-token distribution at each prompt, in input order.

    directions: [k, d] in units of the residual stream at the output of block `layer`; steps start
    from the unsteered model, or from it with `origin` [d] added, at the last prompt token or, by
    the scope, at every one. `predicted_kl` is half e'Ge with
    the prompt's own Fisher form G at the starting point. Equal states are run once, so equal
    vectors give equal rows to the last digit.
    """
    from steer_assets.geometry.kl import distances
    from steer_assets.lm.forward.intervene import Addition, Arm
    from steer_assets.lm.measurements.logits import next_token_logits
    from steer_assets.lm.measurements.pushforward import fisher_along

    table, which = _distinct(np.ascontiguousarray(directions))
    start = np.zeros(directions.shape[1]) if origin is None else origin
    states, state_of = _distinct(
        np.stack([start, *(start + s.scale * directions[s.direction] for s in steps)])
    )
    # A state of zero is the unsteered model: no hook, and the same arm as the starting point.
    arms: list[Arm] = [
        (Addition(layer, i, 1.0),) if state.any() else () for i, state in enumerate(states)
    ]
    scales = np.array([step.scale for step in steps])
    along = np.array([which[step.direction] for step in steps], dtype=np.intp)
    energies = fisher_along(model, prompts, layer, table, scope=scope, offset=origin)
    logits = next_token_logits(model, prompts, arms, states, scope=scope, on_progress=on_progress)
    for (prompt, energy), (_, found) in zip(energies, logits, strict=True):
        moved = distances(found, found[state_of[0]])
        columns = {name: values[state_of[1:]] for name, values in moved.items()}
        columns["predicted_kl"] = 0.5 * scales**2 * energy[along]
        yield Measured(prompt, columns)


def measured(
    run: StageRun, asked: Mapping[str, Asked], step: str
) -> Iterator[tuple[str, Iterable[Measured]]]:
    """Names with what `measure` finds, as they come; each is a piece for engines.

    Prompts of one name share batches, so that a piece cannot be smaller.
    """
    model = run.derivative_model()
    scope = scopes.scope_of(run, model)
    sizes = {name: len(one.prompts) for name, one in asked.items()}
    calls = {
        name: {
            "prompts": prompt_selection.encoded(model, one.prompts),
            "layer": one.layer,
            "directions": one.directions,
            "steps": one.steps,
            "scope": scope,
            "origin": one.origin,
        }
        for name, one in asked.items()
    }
    pieces = Pieces(run.progress(step), sum(sizes.values()), "prompts")
    yield from spread(run, measure, calls, pieces, sizes, derivatives=True)
