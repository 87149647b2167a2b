"""Stage 4: second moments of activations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.geometry._token_moments import (
    ALL_TOKENS,
    CONTRAST,
    read_environments,
    read_halves,
)
from steer_assets.assets.geometry.activation_caches import read_activations
from steer_assets.catalog.traits import ENVIRONMENTS
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.files.factors import Factored
from steer_assets.storage.files.hdf5 import Stored, write_arrays

if TYPE_CHECKING:
    from steer_assets.geometry.null_spaces.moments import Moments

#: All neutral prompts; null spaces with which v is compared are fitted on these.
POOLED = "pooled"
#: Fewest prompts for a covariance: centred data of two have rank one, so no spectrum can be
#: estimated.
FEWEST = 3


def samples(prompts: pl.DataFrame) -> dict[str, np.ndarray]:
    """Rows of the cache by environment: all neutral prompts, contrast prompts, each environment.

    Neutral are the test prompts of all environments. Contrast prompts are separate: v is their mean
    difference and lies in the span of their covariance for any model, so no null space with which v
    is compared may be fitted on them. The control trait's prompts are not a sample of the trait's
    distribution and are left out, as are groups of fewer than `FEWEST`.
    """
    tests = prompts.filter(pl.col("role") == "test")
    groups = {
        POOLED: tests["row"].to_numpy(),
        CONTRAST: prompts.filter(pl.col("role") == "contrast")["row"].to_numpy(),
    }
    for environment in ENVIRONMENTS:
        groups[environment] = tests.filter(pl.col("environment") == environment)["row"].to_numpy()
    return {name: rows for name, rows in groups.items() if len(rows) >= FEWEST}


def _condition_number(eigenvalues: np.ndarray) -> float:
    """Largest over smallest eigenvalue, without those that are zero to rounding."""
    positive = eigenvalues[eigenvalues > eigenvalues.max() * np.finfo(float).eps * len(eigenvalues)]
    return float(positive.max() / positive.min())


@dataclass(frozen=True)
class _Sample:
    """Moments of an environment, and its covariance as it is stored."""

    environment: str
    moments: Moments
    covariance: np.ndarray
    stored: Stored


def _samples(run: StageRun, layer: int) -> Iterator[_Sample]:
    """Every environment: of last tokens, then, if accumulated, of all tokens."""
    from steer_assets.geometry.null_spaces.moments import Moments

    prompts, activations = read_activations(run, layer)
    for environment, rows in samples(prompts).items():
        own = activations[rows]
        moments = Moments(own.shape[1])
        moments.update(own.astype(np.float64))
        factored, covariance = Factored.covariance(own), moments.covariance()
        stored = factored if factored.is_smaller else covariance
        yield _Sample(environment, moments, covariance, stored)
    for environment, moments in _of_all_tokens(run, layer, activations.shape[1]):
        covariance = moments.covariance()
        yield _Sample(environment, moments, covariance, covariance)


def _of_all_tokens(run: StageRun, layer: int, width: int) -> Iterator[tuple[str, Moments]]:
    """Moments of all tokens; `FEWEST` applies to the number of tokens, not of prompts."""
    from steer_assets.geometry.null_spaces.moments import Moments

    tokens = Moments(width)
    for half, _ in read_halves(run, layer):
        tokens.merge(half)
    if tokens.n >= FEWEST:
        yield ALL_TOKENS, tokens
    for environment, moments in read_environments(run, layer).items():
        if moments.n >= FEWEST:
            yield environment, moments


@stage(
    dimensions=("model", "trait"),
    group="geometry",
    kinds={"numpy", "hdf5"},
    code_version="5",
    needs=("prompt_sets", "activation_caches"),
    after=("steering_calibration",),
)
def covariance_matrices(run: StageRun) -> Produced:
    """Covariance of the residual stream per layer and environment, accumulated in float64.

    For last prompt tokens, by environment, for all neutral (test) prompts (`pooled`) and for
    contrast prompts; and for all prompt tokens, with the same groups (`all_tokens` and
    `all_tokens.<environment>`, of which `n_samples` counts tokens). HDF5 datasets
    `covariance/<layer>/<environment>` are [d, d] with one degree of freedom subtracted for the
    mean, `mean/<layer>/<environment>` are [d]. Of fewer samples than half the width, the file has
    the centred samples, of which the covariance is the product.
    """
    arrays: dict[str, Stored] = {}
    records = []
    path = run.layout.pair_file("moments", run.model, run.trait, ".h5")
    for layer in run.all_layers():
        for sample in _samples(run, layer):
            environment, moments, covariance = (
                sample.environment,
                sample.moments,
                sample.covariance,
            )
            arrays[f"covariance/{layer}/{environment}"] = sample.stored
            arrays[f"mean/{layer}/{environment}"] = moments.mean
            eigenvalues = np.linalg.eigvalsh(covariance)
            records.append(
                {
                    "layer": layer,
                    "environment": environment,
                    "n_samples": moments.n,
                    "trace": float(np.trace(covariance)),
                    "max_eigenvalue": float(eigenvalues[-1]),
                    "condition_number": _condition_number(eigenvalues),
                    "path": run.layout.relative(path),
                }
            )
    content = write_arrays(path, arrays)
    frame = pl.DataFrame(records)
    return Produced(
        rows=[Rows("covariance_matrices", frame)],
        files={run.layout.relative(path): content},
        metadata={"matrices": len(frame)},
        metrics={
            f"trace_{layer}": trace
            for layer, trace in frame.filter(pl.col("environment") == POOLED)
            .select("layer", "trace")
            .iter_rows()
        },
    )
