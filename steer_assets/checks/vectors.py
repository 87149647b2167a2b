"""Checks of the model, its vectors, and the hook that adds them."""

import numpy as np
import polars as pl

from steer_assets.assets.vectors.vector_families import read_table
from steer_assets.checks.harness import Finding, check
from steer_assets.geometry.vector_ids import NONE_ID
from steer_assets.pipeline.design import prompt_selection, scopes
from steer_assets.pipeline.stage import StageRun

#: Families with the norm of the base vector.
_NORM_OF_V = ("pca", "logistic", "orthogonal", "base_plus_orthogonal_matched", "negated", "random")
_EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


@check("model_snapshot", blocking=True)
def snapshot_is_the_model(stored: StageRun) -> Finding:
    """The weights and the tokenizer on disk have the hashes in the row of `models`."""
    from steer_assets.lm.loading.loader import facts

    row = stored.model_facts()
    try:
        found = facts(stored.layout.model(stored.model))
    except ValueError as error:
        return Finding(False, str(error))
    for name in ("sha256", "tokenizer_sha256", "n_layers", "hidden_size"):
        if getattr(found, name) != row[name]:
            return Finding(False, f"{name} is {getattr(found, name)}, the row says {row[name]}")
    return Finding(
        True,
        f"{row['architecture']}, {row['n_layers']} blocks of {row['hidden_size']}, as recorded",
        {"parameters": row["n_parameters"]},
    )


@check("vector_families", blocking=True)
def vectors_are_what_they_are_called(stored: StageRun) -> Finding:
    """Finite and not zero; orthogonal to v or of its norm where named so; rows agree."""
    rows, values = read_table(stored)
    norms = np.linalg.norm(values, axis=1)
    for row, vector, norm in zip(rows.iter_rows(named=True), values, norms, strict=True):
        name = row["vector_id"]
        if not np.isfinite(vector).all() or norm == 0:
            return Finding(False, f"{name} is zero or not finite")
        if abs(row["norm"] / norm - 1) > 1e-9:
            return Finding(False, f"{name} is {norm:.6g} long, its row says {row['norm']:.6g}")
        if not all(
            row[f"null_energy_{kind}"] is None or -1e-9 <= row[f"null_energy_{kind}"] <= 1 + 1e-9
            for kind in ("covariance", "jacobian", "fisher")
        ):
            return Finding(False, f"{name} has a share of energy outside 0 to 1")
    worst = 0.0
    for (layer,), part in rows.with_row_index("at").group_by("layer", maintain_order=True):
        base = values[part.filter(pl.col("family") == "base").item(0, "at")]
        length = float(np.linalg.norm(base))
        for row in part.iter_rows(named=True):
            vector = values[row["at"]]
            cosine = float(vector @ base / (np.linalg.norm(vector) * length))
            if row["family"] == "orthogonal":
                worst = max(worst, abs(cosine))
                if abs(cosine) > 1e-8:
                    return Finding(False, f"{row['vector_id']} has cosine {cosine:.2e} to v")
            if row["family"] in _NORM_OF_V and abs(row["norm"] / length - 1) > 1e-8:
                return Finding(
                    False,
                    f"{row['vector_id']} is {row['norm']:.6g} long, v of {layer} {length:.6g}",
                )
    return Finding(
        True,
        f"{len(rows)} vectors; orthogonal ones have cosines of at most {worst:.1e} to v",
        {"vectors": len(rows), "largest cosine": worst},
    )


@check("vector_families", blocking=True, language_model=True)
def steering_adds_what_it_says(stored: StageRun) -> Finding:
    """On the real model, the residual stream changes by alpha v at the block, up to rounding."""
    from steer_assets.lm.forward.intervene import Addition
    from steer_assets.lm.measurements.capture import capture_last

    model = stored.language_model()
    prompts = stored.rows("prompt_sets").filter(pl.col("role") == "test")
    ids = prompt_selection.encoded(model, prompts.head(1))
    rows, values = read_table(stored)
    worst = 0.0
    for layer in stored.steer_layers():
        own = rows.with_row_index("at").filter(pl.col("layer") == layer)
        row = own.filter(pl.col("family") == "base").item(0, "at")
        plain = capture_last(model, ids, [layer])[layer][0].astype(np.float64)
        for alpha in (1.0, -2.0):
            arm = (Addition(layer, row, alpha),)
            found = capture_last(model, ids, [layer], arm=arm, vectors=values)
            steered = found[layer][0].astype(np.float64)
            off = np.abs(steered - plain - alpha * values[row])
            allowed = _EPS[model.dtype] * (np.abs(plain) + 2 * np.abs(alpha * values[row]))
            share = float((off / np.maximum(allowed, 1e-300)).max())
            worst = max(worst, share)
            if share > 2:
                return Finding(
                    False,
                    f"block {layer} moved by {off.max():.3g} more or less than {alpha:g} v, "
                    f"{share:.0f} times what rounding allows",
                )
    return Finding(
        True,
        f"alpha v is added at blocks {stored.steer_layers()}, off by {worst:.2f} of a rounding",
        {"largest error in roundings": worst},
    )


@check("logit_distances", blocking=True)
def distances_are_distances(stored: StageRun) -> Finding:
    """KL is at least 0, Jensen-Shannon at most ln 2, agreements are shares, no dose missing."""
    rows = stored.rows("logit_distances")
    if (why := scopes.next_token_unmoved(stored.study)) and rows.is_empty():
        return Finding(True, f"nothing to measure: {why}")
    bounds = {
        "l2": (0.0, np.inf),
        "kl": (-1e-6, np.inf),
        "js": (-1e-6, np.log(2) + 1e-6),
        "top1_agreement": (0.0, 1.0),
        "top10_overlap": (0.0, 1.0),
        "predicted_kl": (-1e-6, np.inf),
        "displacement": (0.0, np.inf),
        "displacement_floor": (0.0, np.inf),
    }
    for name, (low, high) in bounds.items():
        values = rows[name].drop_nulls().to_numpy()
        if (values < low).any() or (values > high).any():
            return Finding(False, f"{name} goes from {values.min():.3g} to {values.max():.3g}")
    vectors = stored.rows("steering_vectors").filter(pl.col("family") != NONE_ID)
    doses = len(vectors) * (len(stored.study.logits.alphas) or 1)
    measured = rows.filter(pl.col("reference_id") == NONE_ID)
    prompts = measured["prompt_id"].n_unique()
    if len(measured) != doses * prompts:
        return Finding(False, f"{len(measured)} rows for {doses} doses and {prompts} prompts")
    return Finding(True, f"{doses} doses on {prompts} prompts, all measures in their bounds")


@check("logit_distances")
def doses_are_followed(stored: StageRun) -> Finding:
    """Every step of every direction on every prompt; a larger tolerance has no smaller radius."""
    doses, radii = stored.rows("dose_response"), stored.rows("equivalence_radius")
    for name in ("kl", "predicted_kl"):
        if (doses[name] < -1e-6).any():
            return Finding(False, f"{name} is negative")
    arm = ["layer", "reference_id", "vector_id", "null_space"]
    prompts = doses["prompt_id"].n_unique()
    counted = doses.group_by(*arm, "step_norm").len()
    if (counted["len"] != prompts).any():
        return Finding(False, f"a step was not measured on all {prompts} prompts")
    wanted = doses.select(arm).n_unique() * len(stored.study.dose.tolerances)
    if len(radii) != wanted:
        return Finding(False, f"{len(radii)} radii, expected {wanted}")
    for which in ("predicted", "measured"):
        radius = pl.col(f"{which}_radius")
        if len(radii.filter((radius <= 0) | (radius > pl.col("largest_step") * (1 + 1e-9)))):
            return Finding(False, f"a {which} radius is longer than any step, or not positive")
        growing = radii.sort("tolerance").group_by(arm).agg((radius.diff() >= -1e-12).all())
        if not growing[f"{which}_radius"].all():
            return Finding(False, f"a {which} radius shrinks as its tolerance grows")
    return Finding(True, f"{len(counted)} steps on {prompts} prompts, {len(radii)} radii")


CHECKS = [
    snapshot_is_the_model,
    vectors_are_what_they_are_called,
    steering_adds_what_it_says,
    distances_are_distances,
    doses_are_followed,
]
