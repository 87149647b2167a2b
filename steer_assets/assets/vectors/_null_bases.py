"""Leading and null subspaces of each kind at a layer, and their comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from steer_assets.assets.geometry._stability_rows import Fitted, Row, kind_rows
from steer_assets.assets.geometry.behavioral_spectra import read_form
from steer_assets.assets.geometry.covariance_matrices import POOLED
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.files.hdf5 import read_array

#: kind -> (leading basis [d, r], null basis [d, d - r])
Bases = dict[str, tuple[np.ndarray, np.ndarray]]


def null_space(run: StageRun, layer: int, kind: str) -> dict[str, Any] | None:
    """The pooled, unsteered row of `null_spaces` by the study's estimator for the kind.

    None if there were too few neutral prompts.
    """
    found = run.rows("null_spaces", kind=kind).filter(
        (pl.col("layer") == layer)
        & (pl.col("environment") == POOLED)
        & (pl.col("at") == "unsteered")
        & (pl.col("estimator") == run.study.spectra.estimator[kind])  # type: ignore[index]
    )
    return found.row(0, named=True) if len(found) else None


def null_bases(run: StageRun, layer: int) -> Bases:
    """Leading and null subspaces of each kind, by the study's estimator for the kind.

    All are fitted on neutral prompts: the covariance on the activations of all of them, the forms
    at some of them. v is computed from none of these. A kind with too few prompts for a null space
    is omitted.
    """
    from steer_assets.geometry.null_spaces.spectra import form_spectrum
    from steer_assets.geometry.null_spaces.subspaces import leading, null

    spaces = {kind: null_space(run, layer, kind) for kind in run.study.spectra.estimator}
    bases: Bases = {}
    if row := spaces["covariance"]:
        path = run.layout.pair_file("bases", run.model, run.trait, ".covariance.h5")
        axes = read_array(path, f"basis/{layer}")
        bases["covariance"] = (axes[:, : row["rank"]], axes[:, row["rank"] :])
    for kind in ("jacobian", "fisher"):
        if row := spaces[kind]:
            form = read_form(run, kind, "unsteered", layer)
            spectrum = form_spectrum(form, row["n_samples"])
            bases[kind] = (leading(spectrum, row["rank"]), null(spectrum, row["rank"]))
    return bases


def energy_rows(
    run: StageRun, layer: int, bases: Bases, vectors: Mapping[str, np.ndarray]
) -> Iterator[Row]:
    """Rows of `null_energies`: energy shares of vectors, and of a random one, by null space."""
    from steer_assets.geometry.null_spaces.subspaces import energy_share, random_share

    for kind, (_, null) in bases.items():
        space = null_space(run, layer, kind)
        assert space is not None
        d, k = null.shape
        random = random_share(k, d, level=run.study.statistics.confidence)
        for vector_id, values in vectors.items():
            energy = energy_share(values, null)
            yield {
                "vector_id": vector_id,
                "layer": layer,
                "kind": kind,
                "estimator": space["estimator"],
                "n_samples": space["n_samples"],
                "ambient_dim": d,
                "null_dim": k,
                "energy": energy,
                "random_mean": random.mean,
                "random_low": random.low,
                "random_high": random.high,
                "share_of_random_below": random.below(energy),
            }


def angle_rows(run: StageRun, layer: int, bases: Bases) -> Iterator[Row]:
    """Rows of `null_space_angles` between the kinds: low variance against low sensitivity."""
    path = run.layout.pair_file("moments", run.model, run.trait, ".h5")
    forms = {k: read_form(run, k, "unsteered", layer) for k in bases if k != "covariance"}
    if "covariance" in bases:
        forms["covariance"] = read_array(path, f"covariance/{layer}/{POOLED}")
    spaces = {kind: null_space(run, layer, kind) for kind in bases}
    fitted = [
        Fitted(kind, POOLED, *bases[kind], row["heldout_null_energy"])
        for kind, row in spaces.items()
        if row is not None
    ]
    return kind_rows(layer, fitted, forms)
