"""Checks of the evidence on the reliability of null spaces."""

import numpy as np
import polars as pl

from steer_assets.assets.geometry.activation_caches import read_activations
from steer_assets.assets.geometry.covariance_matrices import POOLED, samples
from steer_assets.checks.harness import Finding, check
from steer_assets.pipeline.stage import StageRun

#: Rounding error of an arc cosine near zero.
_ANGLE_SLACK = 1e-6


def _angles(rows: pl.DataFrame) -> str | None:
    """The problem with rows of `null_space_angles`, or None."""
    angles = rows.select("smallest_angle", "median_angle", "largest_angle").to_numpy()
    if (np.diff(angles, axis=1) < -_ANGLE_SLACK).any():
        return "the median of the angles is not between the smallest and the largest"
    if (angles < -_ANGLE_SLACK).any() or (angles > np.pi / 2 + _ANGLE_SLACK).any():
        return f"angles go from {angles.min():.3g} to {angles.max():.3g}"
    for name in ("overlap", "expected_overlap"):
        values = rows[name].to_numpy()
        if (values < -1e-9).any() or (values > 1 + 1e-9).any():
            return f"{name} goes from {values.min():.3g} to {values.max():.3g}"
    for rank in ("rank", "other_rank"):
        if not rows.select(pl.col(rank).is_between(1, pl.col("ambient_dim")).all()).item():
            return f"{rank} is not between 1 and the dimensions of the residual stream"
    if not (rows["null_energy"] >= 0).all():
        return "a null space holds a negative share of energy"
    return None


def claimed(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that a floor applies to: a noise-aware estimator that finds no signal claims nothing."""
    from steer_assets.geometry.null_spaces.ranks import NOISE_EDGES

    return rows.filter(~pl.col("estimator").is_in(list(NOISE_EDGES)) | (pl.col("value") > 0))


def _dimensions(rows: pl.DataFrame) -> str | None:
    """The problem with rows of `effective_dimension`, or None."""
    below = pl.col("null_fraction") < pl.col("sampling_floor") - 1e-9
    if len(claimed(rows).filter(below)) or not rows["null_fraction"].is_between(0, 1).all():
        return "a null fraction lies below the floor that so few prompts give any model"
    if (rows["value"] < 0).any():
        return "an effective dimension is negative"
    per_curve = rows.group_by("layer", "estimator").agg(pl.col("n_prompts"))
    for layer, estimator, sizes in per_curve.iter_rows():
        if sorted(set(sizes)) != sizes:
            return f"prompts of {estimator} at block {layer} do not ascend: {sizes}"
    return None


@check("svd_spectra")
def bands_and_curves_hold(stored: StageRun) -> Finding:
    """Bands contain the stored spectra, in order; curves end at all prompts, above their floors."""
    bands = stored.rows("spectrum_bands")
    if not bands.select(pl.col("low").is_between(0, pl.col("high")).all()).item():
        return Finding(False, "a band has its lower end above its upper one, or below zero")
    keys = ["layer", "environment", "index"]
    spectra = stored.rows("svd_spectra").filter(pl.col("environment") == POOLED)
    both = bands.join(spectra.select(*keys, pl.col("singular_value").alias("stored")), on=keys)
    if len(both) != len(bands) or len(bands) != len(spectra):
        return Finding(False, f"{len(bands)} values have a band, {len(spectra)} are stored")
    prompts, _ = read_activations(stored, stored.all_layers()[0])
    groups = samples(prompts)
    curves = stored.rows("effective_dimension", kind="covariance")
    if POOLED not in groups:
        words = "too few neutral prompts for a spectrum: no bands and no curves"
        return Finding(bands.is_empty() and curves.is_empty(), words)
    scale = float(both["stored"].to_numpy().max())
    apart = np.abs(both["singular_value"].to_numpy() - both["stored"].to_numpy()).max()
    if apart > 1e-6 * scale:
        return Finding(False, f"bands are of another spectrum, off by up to {apart:.3g}")
    if wrong := _dimensions(curves):
        return Finding(False, wrong)
    last = curves["n_prompts"].to_numpy().max()
    if last != len(groups[POOLED]):
        return Finding(False, f"curves end at {last} of {len(groups[POOLED])} prompts")
    if len(groups) > 2:  # comparisons need two environments besides the pooled one
        angles = stored.rows("null_space_angles", compared="environments")
        if wrong := _angles(angles):
            return Finding(False, wrong)
    return Finding(True, f"{len(bands)} bands and {len(curves)} points, as they should be")


@check("behavioral_spectra")
def form_curves_hold(stored: StageRun) -> Finding:
    """Ranks of forms by number of prompts: ascending, none below zero, ending at all prompts."""
    points = 0
    for kind in ("jacobian", "fisher"):
        curves = stored.rows("effective_dimension", kind=kind)
        if wrong := _dimensions(curves):
            return Finding(False, f"{kind}: {wrong}")
        used = stored.rows("behavioral_spectra").filter(pl.col("kind") == kind)["n_prompts"]
        if curves["n_prompts"].to_numpy().max() != used.to_numpy().max():
            return Finding(False, f"curves of {kind} do not end at all prompts")
        points += len(curves)
    return Finding(True, f"{points} points", {"points": points})


@check("vector_families")
def null_spaces_are_compared(stored: StageRun) -> Finding:
    """Every kind of null space with every other at every block; angles and overlaps in bounds."""
    rows = stored.rows("null_space_angles", compared="kinds")
    if wrong := _angles(rows):
        return Finding(False, wrong)
    kinds = len(stored.study.spectra.estimator) - (
        POOLED not in samples(read_activations(stored, stored.all_layers()[0])[0])
    )
    expected = kinds * (kinds - 1) * len(stored.all_layers())
    if len(rows) != expected:
        return Finding(False, f"{len(rows)} comparisons, expected {expected}")
    return Finding(True, f"{len(rows)} comparisons of {kinds} kinds", {"comparisons": len(rows)})


CHECKS = [bands_and_curves_hold, form_curves_hold, null_spaces_are_compared]
