"""Leading and null subspaces of each kind at a layer, and how the kinds compare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from steer_assets.assets.behavioral_spectra import read_form
from steer_assets.assets.covariance_matrices import POOLED
from steer_assets.assets.stability_rows import Fitted, Row, kind_rows
from steer_assets.assets.stage import StageRun
from steer_assets.storage.hdf5 import read_array

#: kind -> (leading basis [d, r], null basis [d, d - r])
Bases = dict[str, tuple[np.ndarray, np.ndarray]]


def _space(run: StageRun, layer: int, kind: str) -> dict[str, Any]:
    """The pooled, unsteered row of `null_spaces` by the study's estimator for the kind."""
    return (
        run.rows("null_spaces", kind=kind)
        .filter(
            (pl.col("layer") == layer)
            & (pl.col("environment") == POOLED)
            & (pl.col("at") == "unsteered")
            & (pl.col("estimator") == run.study.spectra.estimator[kind])  # type: ignore[index]
        )
        .row(0, named=True)
    )


def null_bases(run: StageRun, layer: int) -> Bases:
    """Leading and null subspaces of each kind, by the study's estimator for the kind."""
    from steer_assets.geometry.spectra import form_spectrum
    from steer_assets.geometry.subspaces import leading, null

    spaces = {kind: _space(run, layer, kind) for kind in run.study.spectra.estimator}
    ranks = {kind: space["rank"] for kind, space in spaces.items()}
    path = run.layout.pair_file("bases", run.model, run.trait, ".covariance.h5")
    axes = read_array(path, f"basis/{layer}")
    bases: Bases = {"covariance": (axes[:, : ranks["covariance"]], axes[:, ranks["covariance"] :])}
    for kind in ("jacobian", "fisher"):
        form = read_form(run, kind, "unsteered", layer)
        spectrum = form_spectrum(form, spaces[kind]["n_samples"])
        bases[kind] = (leading(spectrum, ranks[kind]), null(spectrum, ranks[kind]))
    return bases


def angle_rows(run: StageRun, layer: int, bases: Bases) -> Iterator[Row]:
    """Rows of `null_space_angles` between the kinds: is where nothing varies where nothing acts?"""
    path = run.layout.pair_file("moments", run.model, run.trait, ".h5")
    forms = {"covariance": read_array(path, f"covariance/{layer}/{POOLED}")}
    forms |= {k: read_form(run, k, "unsteered", layer) for k in ("jacobian", "fisher")}
    fitted = [
        Fitted(kind, POOLED, *bases[kind], _space(run, layer, kind)["heldout_null_energy"])
        for kind in bases
    ]
    return kind_rows(layer, fitted, forms)
