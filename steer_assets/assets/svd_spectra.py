"""Stage 5: spectra of activation covariances, and the null spaces they suggest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets import seeds
from steer_assets.assets.activation_caches import read_activations
from steer_assets.assets.covariance_matrices import POOLED, samples
from steer_assets.assets.null_space_rows import null_space_rows
from steer_assets.assets.stability_rows import (
    Fitted,
    Row,
    band_rows,
    dimension_rows,
    environment_rows,
)
from steer_assets.assets.stage import Produced, Rows, StageRun, stage
from steer_assets.assets.token_moments import ALL_TOKENS, read_halves
from steer_assets.storage.hdf5 import read_array, write_arrays

if TYPE_CHECKING:
    from steer_assets.geometry.spectra import Spectrum

#: Fewest prompts that a curve of effective dimension begins with, where there are more.
_SMALLEST = 8


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


@dataclass
class _Layer:
    """Rows of one layer, gathered environment by environment."""

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
        """Environments of last prompt tokens, and all of them pooled."""
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
        """Held-out null energies; none where too few prompts leave nothing to fit on."""
        from steer_assets.geometry import heldout
        from steer_assets.geometry.errors import DegenerateError, TooFewSamplesError

        n_groups = int(groups.max()) + 1
        try:
            return heldout.covariance_energies(
                x,
                n_splits=min(self.run.study.spectra.heldout_splits, n_groups),
                seed=seeds.integer(self.run.study, "heldout", self.run.trait),
                groups=groups,
            )
        except (TooFewSamplesError, DegenerateError) as error:
            left_out = f"held-out null energy of {environment} at block {self.layer}: {error}"
            self.run.log.warning(f"left out: {left_out}")
            self.left_out.append(left_out)
            return {}

    def all_tokens(self) -> None:
        """All prompt tokens, where their moments were streamed."""
        from steer_assets.geometry import heldout

        if halves := list(read_halves(self.run, self.layer)):
            n = sum(moments.n for moments, _ in halves)
            spectrum = _stored_spectrum(self.run, self.layer, ALL_TOKENS, n)
            self._add(spectrum, ALL_TOKENS, heldout.moment_energies(halves))

    def _add(self, spectrum: Spectrum, environment: str, energies: Mapping[str, float]) -> None:
        self.spectra.append(_spectrum_rows(spectrum, self.layer, environment))
        self.spaces += null_space_rows(
            spectrum,
            energies,
            covariance=True,
            layer=self.layer,
            environment=environment,
            at="unsteered",
        )

    def _pooled(self, activations: np.ndarray, groups: np.ndarray) -> None:
        from steer_assets.geometry import bands, saturation

        study, layer, n = self.run.study, self.layer, len(activations)
        n_boot = study.spectra.resamples
        purpose = (self.run.model, self.run.trait, str(layer))
        band = bands.spectrum_band(
            activations,
            rng=seeds.generator(study, "spectrum bands", *purpose),
            level=study.statistics.confidence,
            n_boot=n_boot,
            groups=groups,
        )
        self.bands.append(band_rows(layer, POOLED, band, n_boot))
        curve = saturation.covariance_curve(
            activations,
            saturation.doubling_sizes(n, smallest=min(n, _SMALLEST)),
            rng=seeds.generator(study, "effective dimension", *purpose),
        )
        self.dimensions += dimension_rows(layer, curve)


@stage(
    dimensions=("model", "trait"),
    group="geometry",
    kinds={"numpy", "hdf5", "duckdb"},
    code_version="3",
    needs=("prompt_sets", "activation_caches", "covariance_matrices"),
    settings=("seed", "spectra", "statistics.confidence"),
)
def svd_spectra(run: StageRun) -> Produced:
    """Principal axes of each covariance, and its null space by every rank estimator.

    A singular value is the standard deviation of activations along an axis. Null fractions stand
    beside the sampling floor that so few samples give any model, and beside the energy that
    held-out prompts have in the null space (1 is no better than a random subspace). The pooled
    spectrum has a bootstrap band over prompts and a curve of effective dimension against prompts;
    every environment's null space is compared with every other's. HDF5 datasets `basis/<layer>`
    are [d, d], columns in descending order, for the pooled samples.
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
    spaces = pl.DataFrame([row for g in layers for row in g.spaces])
    angles = [row for g in layers for row in environment_rows(g.layer, g.fitted)]
    produced = [
        Rows("svd_spectra", pl.concat(frame for g in layers for frame in g.spectra)),
        Rows("null_spaces", spaces, {"kind": "covariance"}),
        Rows("spectrum_bands", pl.concat(frame for g in layers for frame in g.bands)),
        Rows(
            "effective_dimension",
            pl.DataFrame([row for g in layers for row in g.dimensions]),
            {"kind": "covariance"},
        ),
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
