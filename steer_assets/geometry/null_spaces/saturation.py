"""Effective dimension as a function of the number of prompts.

If a null space keeps shrinking as prompts are added, its size reflects the number of prompts
instead of the model. The curve gives every rank estimator at increasing numbers of prompts, each
with the floor that this number forces; the view `v_saturation` gives its growth per doubling.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from steer_assets.geometry.errors import ShapeError, TooFewSamplesError
from steer_assets.geometry.null_spaces.floors import form_eigenvalues, part_floors
from steer_assets.geometry.null_spaces.moments import Moments
from steer_assets.geometry.null_spaces.ranks import NullSpace, null_spaces
from steer_assets.geometry.null_spaces.spectra import covariance_spectrum, form_spectrum
from steer_assets.geometry.validation import as_form, as_matrix


@dataclass(frozen=True)
class DimensionPoint:
    """All estimators' null spaces with the first `n_prompts` prompts."""

    n_prompts: int
    null_spaces: tuple[NullSpace, ...]


def doubling_sizes(n: int, *, smallest: int = 4) -> tuple[int, ...]:
    """n, n/2, n/4, ... down to `smallest`, ascending."""
    if n < smallest:
        raise TooFewSamplesError(f"a curve from {smallest} prompts on needs that many, got {n}")
    sizes = [n]
    while sizes[-1] // 2 >= smallest:
        sizes.append(sizes[-1] // 2)
    return tuple(sizes[::-1])


def form_curve(
    forms: Iterable[Float[np.ndarray, "d d"]], sizes: Sequence[int]
) -> list[DimensionPoint]:
    """Curve of the averaged output form over per-prompt forms, streamed in the order given.

    Each point has the sampling floors that the prompts up to it force (`floors.part_floors`). Keeps
    one d x d sum in memory. Raises `TooFewSamplesError` when the forms end before the largest size,
    `ShapeError` when they differ in width or sizes do not ascend from 1.
    """
    _require_ascending(sizes)
    wanted = iter(sizes)
    size = next(wanted)
    total: Float[np.ndarray, "d d"] | None = None
    points = []
    done = 0
    parts = []
    for done, form in enumerate(forms, start=1):
        addend = as_form(form, f"form of prompt {done - 1}")
        if total is not None and total.shape != addend.shape:
            raise ShapeError(f"forms of width {total.shape[0]} and {addend.shape[0]}")
        total = addend if total is None else total + addend
        parts.append(form_eigenvalues(addend))
        if done == size:
            spectrum = form_spectrum(total / done, done)
            floors = part_floors(parts, spectrum.ambient_dim)
            points.append(DimensionPoint(done, tuple(null_spaces(spectrum, floors))))
            if done == sizes[-1]:
                return points
            size = next(wanted)
    raise TooFewSamplesError(f"the curve goes to {sizes[-1]} prompts, got {done}")


def covariance_curve(
    x: Float[np.ndarray, "n d"], sizes: Sequence[int], *, rng: np.random.Generator
) -> list[DimensionPoint]:
    """Curve of the covariance over rows of `x` [n, d] in one random order, nested subsets.

    Raises `TooFewSamplesError` when the largest size exceeds n or the smallest is below 3.
    """
    _require_ascending(sizes)
    matrix = as_matrix(x, "activations")
    if sizes[-1] > matrix.shape[0]:
        raise TooFewSamplesError(f"the curve goes to {sizes[-1]} prompts, got {matrix.shape[0]}")
    order = rng.permutation(matrix.shape[0])
    moments = Moments(matrix.shape[1])
    points = []
    for start, stop in zip([0, *sizes[:-1]], sizes, strict=True):
        moments.update(matrix[order[start:stop]])
        spectrum = covariance_spectrum(moments)
        points.append(DimensionPoint(stop, tuple(null_spaces(spectrum))))
    return points


def _require_ascending(sizes: Sequence[int]) -> None:
    if not sizes or sizes[0] < 1 or any(b <= a for a, b in pairwise(sizes)):
        raise ShapeError(f"sizes must ascend from 1 on, got {list(sizes)}")
