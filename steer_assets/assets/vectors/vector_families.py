"""Stage 7: steering vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.geometry._stability_rows import Row
from steer_assets.assets.geometry.activation_caches import pair_activations, read_activations
from steer_assets.assets.vectors._null_bases import Bases, angle_rows, energy_rows, null_bases
from steer_assets.geometry.vector_ids import NONE_ID
from steer_assets.pipeline import external_vectors
from steer_assets.pipeline.design import random_streams
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.files.hashing import hash_arrays
from steer_assets.storage.files.tensors import read_vectors, write_vectors

if TYPE_CHECKING:
    from steer_assets.geometry import families


def vectors_path_of(run: StageRun) -> str:
    """The safetensors file of the partition, relative to the data folder."""
    path = run.layout.pair_file("vectors", run.model, run.trait, ".safetensors")
    return run.layout.relative(path)


def read_table(run: StageRun) -> tuple[pl.DataFrame, np.ndarray]:
    """Rows of `steering_vectors` without the unsteered one, and the vectors [n, d] they name."""
    rows = run.rows("steering_vectors").filter(pl.col("family") != NONE_ID)
    stored = read_vectors(run.layout.root / vectors_path_of(run))
    return rows, np.stack([stored[vector_id] for vector_id in rows["vector_id"]])


def _build(run: StageRun, layer: int, bases: Bases) -> list[families.SteeringVector]:
    from steer_assets.geometry import families
    from steer_assets.geometry.directions import base

    plan = run.study.vectors
    prompts, activations = read_activations(run, layer)
    positive, negative = pair_activations(prompts, activations, "contrast")
    control = base(*pair_activations(prompts, activations, "control"))
    v = base(positive, negative)
    brought = external_vectors.read(run.layout, run.model, run.trait, layer)
    external = {name: vector.scaled(v) for name, vector in brought.items()}
    wanted = (*plan.families, "external") if external else plan.families
    return families.build(
        families.FamilyInputs(
            layer=layer,
            positive=positive,
            negative=negative,
            null_bases=bases,
            other_traits={run.study.control_trait: control},
            external=external,
        ),
        families.FamilyPlan(
            orthogonal_seeds=plan.orthogonal_seeds,
            null_seeds=plan.null_seeds,
            random_seeds=plan.random_seeds,
            subspace_sizes=plan.subspace_sizes,
            subspace_directions=plan.subspace_directions,
            families=wanted,
            root_entropy=random_streams.entropy(run.study, "vectors", run.model, run.trait),
        ),
        on_skip=lambda skipped: run.log.warning(f"{skipped.vector_id}: {skipped.reason}"),
    )


def _row(
    vector: families.SteeringVector, base: np.ndarray, bases: Bases, path: str
) -> Mapping[str, object]:
    from steer_assets.geometry.null_spaces.subspaces import energy_share

    values = vector.values
    norm = float(np.linalg.norm(values))
    cosine = float(values @ base / (norm * np.linalg.norm(base)))
    shares = {
        f"null_energy_{kind}": energy_share(values, bases[kind][1]) if kind in bases else None
        for kind in ("covariance", "jacobian", "fisher")
    }
    return {
        "vector_id": vector.vector_id,
        "family": vector.family,
        "null_space": vector.null_space,
        "layer": vector.layer,
        "seed": vector.seed,
        "norm": norm,
        "cosine_to_base": cosine,
        **shares,
        "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
        "path": path,
    }


def _none_row(path: str) -> dict[str, object]:
    """The unsteered arm: a vector of norm 0, without direction or energy."""
    return {
        "vector_id": NONE_ID,
        "family": NONE_ID,
        "null_space": "",
        "layer": -1,
        "seed": 0,
        "norm": 0.0,
        "cosine_to_base": 0.0,
        "null_energy_covariance": 0.0,
        "null_energy_jacobian": 0.0,
        "null_energy_fisher": 0.0,
        "sha256": hashlib.sha256(b"").hexdigest(),
        "path": path,
    }


@stage(
    dimensions=("model", "trait"),
    group="vectors",
    kinds={"numpy", "safetensors", "duckdb"},
    code_version="3",
    needs=(
        "model_snapshot",
        "prompt_sets",
        "activation_caches",
        "covariance_matrices",
        "svd_spectra",
        "behavioral_spectra",
    ),
    settings=(
        "seed",
        "control_trait",
        "layers",
        "spectra.estimator",
        "vectors",
        "behaviour.prompts",
        "statistics.confidence",
    ),
    sources=external_vectors.sources,
)
def vector_families(run: StageRun) -> Produced:
    """The base vector v of each steered layer and the families compared with it.

    v is the mean difference of the contrast pairs. float64 vectors [d] in safetensors, by
    `vector_id`; each row gives norm, cosine to v, and the share of energy in each null space, which
    `null_energies` compares with that of a random vector. All three null spaces, and the families
    made from them (`base_plus_null`, `base_plus_range`, `base_null`, `base_range`), are fitted on
    neutral prompts, because v lies in the range of its own contrast prompts by construction. The
    null spaces of the three kinds are compared with each other at every layer.
    """
    path = vectors_path_of(run)
    stored: dict[str, np.ndarray] = {}
    rows: list[Mapping[str, object]] = [_none_row(path)]
    norms = {}
    angles: list[Row] = []
    energies: list[Row] = []
    steered = run.steer_layers()
    for layer in run.all_layers():
        bases = null_bases(run, layer)
        angles += angle_rows(run, layer, bases)
        if layer not in steered:
            continue
        if "covariance" not in bases:
            run.log.warning(f"block {layer}: too few neutral prompts for a covariance null space")
        vectors = _build(run, layer, bases)
        base = next(v.values for v in vectors if v.family == "base")
        norms[f"norm_of_v_at_{layer}"] = float(np.linalg.norm(base))
        for vector in vectors:
            stored[vector.vector_id] = vector.values
            rows.append(_row(vector, base, bases, path))
        energies += energy_rows(run, layer, bases, {v.vector_id: v.values for v in vectors})
    facts = run.model_facts()
    metadata = {"model": run.model, "trait": run.trait, "model_sha256": facts["sha256"]}
    write_vectors(run.layout.root / path, stored, metadata)

    return Produced(
        rows=[
            Rows("steering_vectors", pl.DataFrame(rows, infer_schema_length=None)),
            Rows("null_energies", pl.DataFrame(energies, infer_schema_length=None)),
            Rows(
                "null_space_angles",
                pl.DataFrame(angles, infer_schema_length=None),
                {"compared": "kinds"},
            ),
        ],
        files={path: hash_arrays(stored)},
        metadata={"vectors": len(stored), **norms},
        metrics=norms,
    )
