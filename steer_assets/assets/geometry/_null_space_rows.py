"""Rows of `null_spaces`, which the covariance stage and the behavioural stage both fill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steer_assets.geometry.null_spaces.spectra import Spectrum


def null_space_rows(
    spectrum: Spectrum,
    heldout: Mapping[str, float],
    *,
    floors: Mapping[str, float | None] | None = None,
    **identity: object,
) -> list[dict[str, object]]:
    """One row per rank estimator; `identity` holds layer, environment and point.

    heldout: energy by estimator, without those for which no prompts could be held out. floors:
    sampling floors by estimator; left out for a covariance of one sample per prompt, which has its
    own.
    """
    from steer_assets.geometry.null_spaces.ranks import null_spaces

    return [
        {
            **identity,
            "estimator": space.estimator,
            "threshold": space.threshold,
            "value": space.value,
            "ambient_dim": space.ambient_dim,
            "rank": space.rank,
            "null_dim": space.null_dim,
            "null_fraction": space.null_fraction,
            "sampling_floor": space.sampling_floor,
            "heldout_null_energy": heldout.get(space.estimator),
            "n_samples": spectrum.n_samples,
        }
        for space in null_spaces(spectrum, floors)
    ]
