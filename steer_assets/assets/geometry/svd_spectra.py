"""Stage 5: spectra of activation covariances, and their null spaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.geometry._null_space_rows import null_space_rows
from steer_assets.assets.geometry._stability_rows import (
    Fitted,
    Row,
    band_rows,
    dimension_rows,
    environment_rows,
)
from steer_assets.assets.geometry._token_moments import ALL_TOKENS, read_halves, read_prompt_parts
from steer_assets.assets.geometry.activation_caches import read_activations
from steer_assets.assets.geometry.covariance_matrices import FEWEST, POOLED, samples
from steer_assets.pipeline.design import random_streams
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.files.hdf5 import read_array, write_arrays
from steer_assets.storage.schema import frame_of

if TYPE_CHECKING:
    from steer_assets.geometry.null_spaces.spectra import Spectrum

_COVARIANCE = {"kind": "covariance"}
#: Fewest prompts in a curve of effective dimension.
_SMALLEST = 8


def _stored_spectrum(
    run: StageRun, layer: int, environment: str, n_samples: int, n_prompts: int | None = None
) -> Spectrum:
    """Spectrum of a stored covariance; `n_prompts` counts prompts if samples are tokens."""
    from steer_assets.geometry.null_spaces.moments import Moments
    from steer_assets.geometry.null_spaces.spectra import covariance_spectrum

    path = run.layout.pair_file("moments", run.model, run.trait, ".h5")
    covariance = read_array(path, f"covariance/{layer}/{environment}")
    mean = read_array(path, f"mean/{layer}/{environment}")
    moments = Moments.restore(n_samples, mean, covariance * (n_samples - 1))
    return covariance_spectrum(moments, n_prompts=n_prompts)


def _groups(prompts: pl.DataFrame, rows: np.ndarray) -> np.ndarray:
    """Labels that keep both prompts of a pair in the same fold."""
    names = prompts.with_columns(
        pl.when(pl.col("pair_id") == "").then("prompt_id").otherwise("pair_id").alias("group")
    )["group"].to_numpy()[rows]
    return np.unique(names, return_inverse=True)[1]


def _n_splits(groups: np.ndarray, n_splits: int) -> int:
    """Number of splits that leaves enough prompts to fit on; with few prompts, one per prompt."""
    sizes = np.sort(np.bincount(groups))[::-1]
    splits = min(n_splits, len(sizes))
    largest_fold = sizes[: -(-len(sizes) // splits)].sum()
    return splits if len(groups) - largest_fold >= FEWEST else len(sizes)


def _frame(table: str, rows: list[Row]) -> pl.DataFrame:
    """Rows of one kind of null space in the table's types; may be empty."""
    return frame_of(table, rows, "kind")


def _spectrum_rows(spectrum: Spectrum, layer: int, environment: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "layer": layer,
            "environment": environment,
            "index": np.arange(spectrum.ambient_dim),
            "singular_value": spectrum.singular_values,
            "explained_variance": spectrum.explained_variance,
            "cumulative_variance": spectrum.cumulative_variance,
        }
    ).with_columns(pl.lit(spectrum.noise_edge, dtype=pl.Float64).alias("noise_edge"))


@dataclass
class _Layer:
    """Rows of one layer, collected by environment."""

    run: StageRun
    layer: int
    spectra: list[pl.DataFrame] = field(default_factory=list)
    spaces: list[Row] = field(default_factory=list)
    bands: list[pl.DataFrame] = field(default_factory=list)
    dimensions: list[Row] = field(default_factory=list)
    fitted: list[Fitted] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    basis: np.ndarray | None = None

    def last_tokens(self) -> None:
        """Rows for last prompt tokens: all neutral prompts, contrast prompts, each environment."""
        study = self.run.study
        prompts, activations = read_activations(self.run, self.layer)
        for environment, rows in samples(prompts).items():
            spectrum = _stored_spectrum(self.run, self.layer, environment, len(rows))
            groups = _groups(prompts, rows)
            energies = self._energies(environment, activations[rows], groups)
            self._add(spectrum, environment, energies)
            if environment == POOLED:
                self.basis = spectrum.basis
                self._pooled(activations[rows].astype(np.float64), groups)
            else:
                estimator = study.spectra.estimator["covariance"]
                self.fitted.append(
                    Fitted.of(spectrum, estimator, energies, environment, activations[rows])
                )

    def _energies(self, environment: str, x: np.ndarray, groups: np.ndarray) -> dict[str, float]:
        """Held-out null energies; empty if there are too few prompts to fit on."""
        from steer_assets.geometry.errors import DegenerateError, TooFewSamplesError
        from steer_assets.geometry.null_spaces import heldout

        try:
            return heldout.covariance_energies(
                x,
                n_splits=_n_splits(groups, self.run.study.spectra.heldout_splits),
                seed=random_streams.integer(self.run.study, "heldout", self.run.trait),
                groups=groups,
            )
        except (TooFewSamplesError, DegenerateError) as error:
            left_out = f"held-out null energy of {environment} at block {self.layer}: {error}"
            self.run.log.warning(f"left out: {left_out}")
            self.left_out.append(left_out)
            return {}

    def all_tokens(self) -> None:
        """Rows for all tokens of the neutral prompts, if their moments were accumulated.

        Prompts are the units: whole prompts are held out, and the floor follows from their number.
        """
        from steer_assets.geometry.null_spaces import floors, heldout

        halves = list(read_halves(self.run, self.layer))
        n = sum(moments.n for moments, _ in halves)
        if n < FEWEST:
            return
        *prompts, between = read_prompt_parts(self.run, self.layer)
        spectrum = _stored_spectrum(self.run, self.layer, ALL_TOKENS, n, len(prompts))
        whole = len(halves) > 1 and all(moments.n >= FEWEST for moments, _ in halves)
        energies = heldout.moment_energies(halves) if whole else {}
        forced = floors.part_floors([*prompts, between], spectrum.ambient_dim)
        self._add(spectrum, ALL_TOKENS, energies, forced)

    def _add(
        self,
        spectrum: Spectrum,
        environment: str,
        energies: Mapping[str, float],
        floors: Mapping[str, float | None] | None = None,
    ) -> None:
        self.spectra.append(_spectrum_rows(spectrum, self.layer, environment))
        self.spaces += null_space_rows(
            spectrum,
            energies,
            floors=floors,
            layer=self.layer,
            environment=environment,
            at="unsteered",
        )

    def _pooled(self, activations: np.ndarray, groups: np.ndarray) -> None:
        from steer_assets.geometry.null_spaces import bands, saturation

        study, layer = self.run.study, self.layer
        n_boot = study.spectra.resamples
        purpose = (self.run.model, self.run.trait, str(layer))
        band = bands.spectrum_band(
            activations,
            rng=random_streams.generator(study, "spectrum bands", *purpose),
            level=study.statistics.confidence,
            n_boot=n_boot,
            groups=groups,
        )
        self.bands.append(band_rows(layer, POOLED, band, n_boot))
        curve = saturation.covariance_curve(
            activations,
            saturation.doubling_sizes(len(activations), smallest=min(_SMALLEST, len(activations))),
            rng=random_streams.generator(study, "effective dimension", *purpose),
        )
        self.dimensions += dimension_rows(layer, curve)


@stage(
    dimensions=("model", "trait"),
    group="geometry",
    kinds={"numpy", "hdf5", "duckdb"},
    code_version="4",
    needs=("prompt_sets", "activation_caches", "covariance_matrices"),
    settings=("seed", "spectra", "statistics.confidence"),
)
def svd_spectra(run: StageRun) -> Produced:
    """Principal axes of each covariance, and its null space by every rank estimator.

    A singular value is the standard deviation of activations along an axis. Each null fraction is
    stored with the sampling floor that the number of prompts gives any model, and with the energy
    of held-out prompts in the null space (1 is no better than a random subspace). For all tokens
    there is no noise edge, since tokens of a prompt are dependent. The pooled spectrum, of all
    neutral prompts, has a bootstrap band over prompts and a curve of effective dimension against
    prompts; every environment's null space is compared with every other's. HDF5 datasets
    `basis/<layer>` are [d, d], columns in descending order, for the pooled samples; none of fewer
    than three neutral prompts.
    """
    layers = []
    for layer in run.all_layers():
        gathered = _Layer(run, layer)
        gathered.last_tokens()
        gathered.all_tokens()
        layers.append(gathered)
    path = run.layout.pair_file("bases", run.model, run.trait, ".covariance.h5")
    bases = {f"basis/{g.layer}": g.basis for g in layers if g.basis is not None}
    content = write_arrays(path, bases)
    spaces = _frame("null_spaces", [row for g in layers for row in g.spaces])
    dimensions = [row for g in layers for row in g.dimensions]
    angles = [row for g in layers for row in environment_rows(g.layer, g.fitted)]
    bands = [frame for g in layers for frame in g.bands]
    produced = [
        Rows("svd_spectra", pl.concat(frame for g in layers for frame in g.spectra)),
        Rows("null_spaces", spaces, _COVARIANCE),
        Rows("spectrum_bands", pl.concat(bands) if bands else _frame("spectrum_bands", [])),
        Rows("effective_dimension", _frame("effective_dimension", dimensions), _COVARIANCE),
    ]
    if angles:
        produced.append(
            Rows("null_space_angles", pl.DataFrame(angles), {"compared": "environments"})
        )
    return Produced(
        rows=produced,
        files={run.layout.relative(path): content},
        metadata={
            "null spaces": len(spaces),
            "left out": "; ".join(line for g in layers for line in g.left_out) or "nothing",
        },
    )
