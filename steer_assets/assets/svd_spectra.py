"""Stage 5: spectra of activation covariances, and the null spaces they suggest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets import seeds
from steer_assets.assets.activation_caches import read_activations
from steer_assets.assets.covariance_matrices import POOLED, samples
from steer_assets.assets.null_space_rows import null_space_rows
from steer_assets.assets.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.hdf5 import read_array, write_arrays

if TYPE_CHECKING:
    from steer_assets.geometry.spectra import Spectrum


def _stored_spectrum(run: StageRun, layer: int, environment: str, n_samples: int) -> Spectrum:
    from steer_assets.geometry.moments import Moments
    from steer_assets.geometry.spectra import covariance_spectrum

    path = run.layout.pair_file("moments", run.model, run.trait, ".h5")
    covariance = read_array(path, f"covariance/{layer}/{environment}")
    mean = read_array(path, f"mean/{layer}/{environment}")
    return covariance_spectrum(Moments.restore(n_samples, mean, covariance * (n_samples - 1)))


def _groups(prompts: pl.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Labels that keep both prompts of a pair in the same fold."""
    names = prompts.with_columns(
        pl.when(pl.col("pair_id") == "").then("prompt_id").otherwise("pair_id").alias("group")
    )["group"].to_numpy()[rows]
    return np.unique(names, return_inverse=True)[1]


def _spectrum_rows(spectrum: Spectrum, layer: int, environment: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "layer": layer,
            "environment": environment,
            "index": np.arange(spectrum.ambient_dim),
            "singular_value": spectrum.singular_values,
            "explained_variance": spectrum.explained_variance,
            "cumulative_variance": spectrum.cumulative_variance,
            "noise_edge": spectrum.noise_edge,
        }
    )


@stage(
    dimensions=("model", "trait"),
    group="geometry",
    kinds={"numpy", "hdf5", "duckdb"},
    code_version="1",
    needs=("prompt_sets", "activation_caches", "covariance_matrices"),
    settings=("seed", "spectra.heldout_splits"),
)
def svd_spectra(run: StageRun) -> Produced:
    """Principal axes of each covariance, and its null space by every rank estimator.

    A singular value is the standard deviation of activations along an axis. Null fractions stand
    beside the sampling floor that so few samples give any model, and beside the energy that
    held-out prompts have in the null space (1 is no better than a random subspace). HDF5 datasets
    `basis/<layer>` are [d, d], columns in descending order, for the pooled samples.
    """
    from steer_assets.geometry import heldout

    spectra_rows, space_rows, bases = [], [], {}
    for layer in run.all_layers():
        prompts, activations = read_activations(run, layer)
        for environment, rows in samples(prompts).items():
            spectrum = _stored_spectrum(run, layer, environment, len(rows))
            spectra_rows.append(_spectrum_rows(spectrum, layer, environment))
            if environment == POOLED:
                bases[f"basis/{layer}"] = spectrum.basis
            energies = heldout.covariance_energies(
                activations[rows],
                n_splits=min(run.study.spectra.heldout_splits, len(rows)),
                seed=seeds.integer(run.study, "heldout", run.trait),
                groups=_groups(prompts, rows),
            )
            space_rows += null_space_rows(
                spectrum,
                energies,
                covariance=True,
                layer=layer,
                environment=environment,
                at="unsteered",
            )
    path = run.layout.pair_file("bases", run.model, run.trait, ".covariance.h5")
    content = write_arrays(path, bases)
    spaces = pl.DataFrame(space_rows)
    return Produced(
        rows=[
            Rows("svd_spectra", pl.concat(spectra_rows)),
            Rows("null_spaces", spaces, {"kind": "covariance"}),
        ],
        files={run.layout.relative(path): content},
        metadata={"null spaces": len(spaces)},
    )
