"""Checks of activations, covariances and spectra, recomputed with numpy from the stored files."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from steer_assets.assets.geometry._token_moments import (
    ALL_TOKENS,
    read_environments,
    read_halves,
    read_prompt_parts,
)
from steer_assets.assets.geometry.activation_caches import read_activations
from steer_assets.assets.geometry.behavioral_spectra import KINDS
from steer_assets.assets.geometry.covariance_matrices import FEWEST, POOLED, samples
from steer_assets.checks.harness import Finding, check
from steer_assets.pipeline.design import prompt_selection
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.files.hdf5 import read_array, read_arrays

_RELATIVE = 1e-6


def _share(difference: float, scale: float) -> float:
    return difference / scale if scale > 0 else difference


@check("activation_caches", blocking=True)
def activations_are_whole(stored: StageRun) -> Finding:
    """Finite, not constant, one row per prompt of the study, as wide as the model."""
    table = stored.rows("prompt_sets")
    expected = sum(
        len(part)
        for part in (
            prompt_selection.contrast_pairs(table, stored.study),
            prompt_selection.contrast_pairs(table, stored.study, role="control"),
            prompt_selection.neutral_tests(table, stored.study),
        )
    )
    width = stored.model_facts()["hidden_size"]
    layers = stored.all_layers()
    for layer in layers:
        _, values = read_activations(stored, layer)
        if values.shape != (expected, width):
            return Finding(
                False, f"block {layer} has shape {values.shape}, expected {(expected, width)}"
            )
        if not np.isfinite(values).all():
            return Finding(False, f"block {layer} holds values that are not finite")
        if not (values.std(axis=0) > 0).any():
            return Finding(False, f"block {layer} is the same for every prompt")
    return Finding(
        True,
        f"{expected} prompts x {width} dimensions at blocks {layers}, finite and not constant",
        {"prompts": expected, "layers": len(layers)},
    )


def _variances(stored: StageRun, layer: int) -> Iterator[tuple[str, float]]:
    """The expected trace of each covariance, computed from activations instead of moments.

    For all tokens only the moments of two halves are stored; these are merged here independently.
    """
    prompts, activations = read_activations(stored, layer)
    for environment, rows in samples(prompts).items():
        yield environment, float(activations[rows].astype(np.float64).var(axis=0, ddof=1).sum())
    halves = [(m.n, m.mean, float(np.trace(m.scatter))) for m, _ in read_halves(stored, layer)]
    if sum(size for size, _, _ in halves) >= FEWEST:
        n = sum(size for size, _, _ in halves)
        mean = np.sum([size * own for size, own, _ in halves], axis=0) / n
        between = sum(size * float(((own - mean) ** 2).sum()) for size, own, _ in halves)
        yield ALL_TOKENS, (between + sum(within for _, _, within in halves)) / (n - 1)
    for environment, moments in read_environments(stored, layer).items():
        if moments.n >= FEWEST:
            yield environment, float(np.trace(moments.scatter)) / (moments.n - 1)


@check("covariance_matrices", blocking=True)
def covariances_are_covariances(stored: StageRun) -> Finding:
    """Symmetric, positive semidefinite, with the sum of the activations' variances as trace."""
    arrays = read_arrays(
        stored.layout.pair_file("moments", stored.model, stored.trait, ".h5"), "covariance/"
    )
    worst = 0.0
    for layer in stored.all_layers():
        for environment, variance in _variances(stored, layer):
            name = f"covariance/{layer}/{environment}"
            if name not in arrays:
                return Finding(False, f"{name} is missing")
            matrix = arrays[name]
            scale = float(np.abs(matrix).max())
            if float(np.abs(matrix - matrix.T).max()) > 1e-10 * scale:
                return Finding(False, f"{name} is not symmetric")
            eigenvalues = np.linalg.eigvalsh(matrix)
            if eigenvalues[0] < -1e-8 * eigenvalues[-1]:
                return Finding(False, f"{name} has the eigenvalue {eigenvalues[0]:.3g}")
            apart = _share(abs(float(np.trace(matrix)) - variance), variance)
            worst = max(worst, apart)
            if apart > _RELATIVE:
                return Finding(
                    False,
                    f"{name} has trace {np.trace(matrix):.6g}, the variances sum to {variance:.6g}",
                )
    return Finding(
        True,
        f"{len(arrays)} matrices; trace and variance differ by at most {worst:.1e}",
        {"matrices": len(arrays), "largest relative difference": worst},
    )


def _ordered(values: np.ndarray) -> str | None:
    """The problem with singular values in the order of their index, or None."""
    if (values < 0).any():
        return f"holds the negative value {values.min():.3g}"
    if (np.diff(values) > 1e-12 * max(float(values.max()), 1e-300)).any():
        return "is not sorted"
    return None


@check("svd_spectra", blocking=True)
def spectra_keep_the_energy(stored: StageRun) -> Finding:
    """Sorted, non-negative; squares sum to the covariance's trace; bases are orthonormal."""
    rows = stored.rows("svd_spectra").sort("layer", "environment", "index")
    traces = {
        (layer, environment): trace
        for layer, environment, trace in stored.rows("covariance_matrices")
        .select("layer", "environment", "trace")
        .iter_rows()
    }
    for (layer, environment), part in rows.group_by("layer", "environment", maintain_order=True):
        values = part["singular_value"].to_numpy()
        name = f"the spectrum of block {layer}, {environment},"
        if wrong := _ordered(values):
            return Finding(False, f"{name} {wrong}")
        energy, trace = float((values**2).sum()), traces[layer, environment]
        if _share(abs(energy - trace), trace) > _RELATIVE:
            return Finding(False, f"{name} has energy {energy:.6g}, its covariance {trace:.6g}")
        if abs(float(part.item(-1, "cumulative_variance")) - 1) > _RELATIVE:
            return Finding(False, f"{name} does not add up to the whole variance")
    path = stored.layout.pair_file("bases", stored.model, stored.trait, ".covariance.h5")
    for name, basis in read_arrays(path, "basis/").items():
        if float(np.abs(basis.T @ basis - np.eye(basis.shape[1])).max()) > 1e-8:
            return Finding(False, f"{name} is not orthonormal")
    n = rows.select("layer", "environment").n_unique()
    return Finding(True, f"{n} spectra, sorted, with the energy of their covariances")


def _floor_of(stored: StageRun, row: dict[str, object], d: int) -> float | None:
    """The expected floor of a covariance's null fraction."""
    from steer_assets.geometry.null_spaces.floors import part_floors
    from steer_assets.geometry.null_spaces.ranks import covariance_floor

    if row["environment"] == ALL_TOKENS:
        parts = read_prompt_parts(stored, int(str(row["layer"])))
        return part_floors(parts, d)[str(row["estimator"])]
    return covariance_floor(int(str(row["n_samples"])), d)


@check("svd_spectra", blocking=True)
def floors_are_shown(stored: StageRun) -> Finding:
    """Every null fraction is stored with the floor that the number of prompts gives any model."""
    rows = stored.rows("null_spaces", kind="covariance")
    for row in rows.iter_rows(named=True):
        shown, floor = row["sampling_floor"], _floor_of(stored, row, row["ambient_dim"])
        same = shown is floor if None in (shown, floor) else abs(shown - floor) <= 1e-12
        if not same:
            words = "none" if shown is None else f"{shown:.3f}"
            where = f"{row['estimator']} of block {row['layer']}, {row['environment']},"
            return Finding(False, f"{where} shows the floor {words}")
    pooled = rows.filter(pl.col("environment") == POOLED)
    at_floor = pooled.filter(pl.col("null_fraction") <= pl.col("sampling_floor") + 1e-9)
    return Finding(
        True,
        f"{len(rows)} null fractions with their floors; {len(at_floor)} of {len(pooled)} pooled "
        "ones are no more than their floor",
        {"null fractions": len(rows), "at their floor": len(at_floor)},
    )


@check("behavioral_spectra", blocking=True)
def floors_of_forms_are_shown(stored: StageRun) -> Finding:
    """Every null fraction of an averaged form is at least the floor that its prompts force.

    A floor is NULL where no bound is known; 0 is never used for an unknown floor.
    """
    from steer_assets.geometry.null_spaces.floors import ADDITIVE

    seen = 0
    for kind in KINDS:
        rows = stored.rows("null_spaces", kind=kind)
        for row in rows.iter_rows(named=True):
            name = f"the floor of {row['estimator']}, {kind} of block {row['layer']},"
            floor = row["sampling_floor"]
            if floor is None and row["estimator"] in ADDITIVE:
                return Finding(False, f"{name} is missing")
            if floor is not None and not 0 <= floor <= row["null_fraction"] + 1e-9:
                words = f"is {floor:.3f} under the null fraction {row['null_fraction']:.3f}"
                return Finding(False, f"{name} {words}")
        curves = stored.rows("effective_dimension", kind=kind)
        last = curves.filter(pl.col("n_prompts") == pl.col("n_prompts").max())
        unsteered = rows.filter(pl.col("at") == "unsteered")
        both = unsteered.join(last, on=["layer", "estimator"], suffix="_curve")
        apart = (pl.col("sampling_floor") - pl.col("sampling_floor_curve")).abs() > 1e-9
        if len(both) != len(unsteered) or len(both.filter(apart)):
            return Finding(False, f"floors of {kind} are not those of all prompts in its curve")
        seen += len(rows)
    return Finding(True, f"{seen} null fractions, none below its floor", {"null fractions": seen})


@check("behavioral_spectra", blocking=True)
def forms_are_forms(stored: StageRun) -> Finding:
    """Forms are symmetric; their spectra sorted, non-negative, of the form's energy."""
    path = stored.layout.pair_file("bases", stored.model, stored.trait, ".behaviour.h5")
    rows = stored.rows("behavioral_spectra").sort("index")
    seen = 0
    for (kind, at, layer), part in rows.group_by("kind", "at", "layer", maintain_order=True):
        name = f"form/{kind}/{at}/{layer}"
        form, values = read_array(path, name), part["singular_value"].to_numpy()
        scale = float(np.abs(form).max())
        if float(np.abs(form - form.T).max()) > 1e-8 * scale:
            return Finding(False, f"{name} is not symmetric")
        if wrong := _ordered(values):
            return Finding(False, f"the spectrum of {name} {wrong}")
        energy, trace = float((values**2).sum()), float(np.trace(form))
        if _share(abs(energy - trace), trace) > 1e-5:
            return Finding(False, f"{name} has trace {trace:.6g}, its spectrum {energy:.6g}")
        seen += 1
    kinds = set(rows["kind"].unique())
    if kinds != set(KINDS):
        return Finding(False, f"only {', '.join(sorted(kinds))} of {', '.join(KINDS)} are stored")
    return Finding(True, f"{seen} forms with their spectra", {"forms": seen})


CHECKS = [
    activations_are_whole,
    covariances_are_covariances,
    spectra_keep_the_energy,
    floors_are_shown,
    floors_of_forms_are_shown,
    forms_are_forms,
]
