"""Rows on the reliability of a null space: bands, saturation, persistence.

Tables `spectrum_bands`, `effective_dimension` and `null_space_angles`, filled by the stages that
compute the spectra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from steer_assets.geometry.null_spaces.bands import SpectrumBand
    from steer_assets.geometry.null_spaces.saturation import DimensionPoint
    from steer_assets.geometry.null_spaces.spectra import Spectrum

Row = dict[str, object]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A null space: its identity, both bases, and the energy of its own held-out prompts in it.

    own_null_energy: None if too few prompts could be held out.
    samples: activations [n, d] of the environment, for comparisons between environments.
    """

    kind: str
    environment: str
    leading: np.ndarray
    null: np.ndarray
    own_null_energy: float | None
    samples: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        spectrum: Spectrum,
        estimator: str,
        energies: Mapping[str, float],
        environment: str,
        samples: np.ndarray,
    ) -> Fitted:
        """The null space of a covariance, by one rank estimator."""
        from steer_assets.geometry.null_spaces.ranks import rank
        from steer_assets.geometry.null_spaces.subspaces import leading, null

        size = rank(spectrum, estimator)
        return cls(
            "covariance",
            environment,
            leading(spectrum, size),
            null(spectrum, size),
            energies.get(estimator),
            samples,
        )


def _compared(a: Fitted, b: Fitted, null_energy: float, **identity: object) -> Row:
    from steer_assets.geometry.null_spaces.stability import subspace_overlap

    overlap = subspace_overlap(a.leading, b.leading)
    return {
        **identity,
        "kind": a.kind,
        "environment": a.environment,
        "other_kind": b.kind,
        "other_environment": b.environment,
        "rank": a.leading.shape[1],
        "other_rank": b.leading.shape[1],
        "ambient_dim": a.leading.shape[0],
        "null_energy": null_energy,
        "own_null_energy": a.own_null_energy,
        "overlap": overlap.overlap,
        "expected_overlap": overlap.expected_overlap,
        "smallest_angle": overlap.smallest_angle,
        "median_angle": overlap.median_angle,
        "largest_angle": overlap.largest_angle,
    }


def environment_rows(layer: int, fitted: Sequence[Fitted]) -> Iterator[Row]:
    """Energy of every other environment's centred activations in each null space."""
    from steer_assets.geometry.null_spaces.subspaces import null_energy

    for a in fitted:
        for b in fitted:
            if a is not b and b.samples is not None:
                samples = b.samples.astype(np.float64)
                energy = null_energy(samples - samples.mean(axis=0), a.null)
                yield _compared(a, b, energy, layer=layer)


def kind_rows(
    layer: int, fitted: Sequence[Fitted], forms: Mapping[str, np.ndarray]
) -> Iterator[Row]:
    """Energy of every other kind's covariance or output form [d, d] in each kind's null space."""
    from steer_assets.geometry.null_spaces.stability import form_null_energy

    for a in fitted:
        for b in fitted:
            if a is not b:
                yield _compared(a, b, form_null_energy(forms[b.kind], a.null), layer=layer)


def dimension_rows(layer: int, points: Sequence[DimensionPoint]) -> Iterator[Row]:
    """Effective dimension by every estimator at every number of prompts."""
    for point in points:
        for space in point.null_spaces:
            yield {
                "layer": layer,
                "estimator": space.estimator,
                "n_prompts": point.n_prompts,
                "value": space.value,
                "null_fraction": space.null_fraction,
                "sampling_floor": space.sampling_floor,
            }


def band_rows(layer: int, environment: str, band: SpectrumBand, n_boot: int) -> pl.DataFrame:
    """The band of one spectrum."""
    return pl.DataFrame(
        {
            "layer": layer,
            "environment": environment,
            "index": np.arange(len(band.singular_values)),
            "singular_value": band.singular_values,
            "low": band.low,
            "high": band.high,
            "level": band.level,
            "n_boot": n_boot,
        }
    )
