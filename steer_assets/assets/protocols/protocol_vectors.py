"""Stage: steering vectors from the sites at which other protocols read them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.geometry.vector_ids import VectorId, base_id
from steer_assets.pipeline.design import prompt_selection, protocol_sites, random_streams
from steer_assets.pipeline.design.protocol_sites import FAMILIES, Site
from steer_assets.pipeline.design.site_vectors import ROOM
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.files.hashing import hash_arrays
from steer_assets.storage.files.hdf5 import write_arrays
from steer_assets.storage.files.tensors import write_vectors
from steer_assets.storage.schema import frame_of

if TYPE_CHECKING:
    from steer_assets.geometry import families


def _captured(run: StageRun, prompts: pl.DataFrame, layers: list[int]) -> dict[str, np.ndarray]:
    """Activations [n, d] at the last prompt token, by `<raw|chat>/<block>`."""
    from steer_assets.lm.measurements import capture

    model = run.language_model()
    found = {}
    for name, template in (("raw", False), ("chat", True)):
        ids = prompt_selection.encoded(model, prompts, chat_template=template)
        for layer, values in capture.capture_last(model, ids, layers).items():
            found[f"{name}/{layer}"] = values
    return found


def _built(
    run: StageRun, layer: int, contrast: np.ndarray, positive: np.ndarray
) -> tuple[list[families.SteeringVector], list[families.Skipped]]:
    """Vectors to be added at `layer`, from the activations at their site, and those not made.

    Without v there is no other vector: a block that reads only the last tokens, which both poles
    share, gives a mean difference of zero.
    """
    from steer_assets.geometry import families
    from steer_assets.geometry.errors import DegenerateError

    plan = run.study.vectors
    skipped: list[families.Skipped] = []
    build = partial(
        families.build,
        families.FamilyInputs(
            layer=layer,
            positive=contrast[positive].astype(np.float64),
            negative=contrast[~positive].astype(np.float64),
        ),
        families.FamilyPlan(
            orthogonal_seeds=plan.orthogonal_seeds,
            null_seeds=plan.null_seeds,
            random_seeds=plan.random_seeds[:1],
            subspace_sizes=plan.subspace_sizes,
            subspace_directions=plan.subspace_directions,
            families=tuple(f for f in plan.families if f in FAMILIES),
            root_entropy=random_streams.entropy(run.study, "vectors", run.model, run.trait),
        ),
        on_skip=skipped.append,
    )
    try:
        return build(), skipped
    except DegenerateError as error:
        return [], [families.Skipped(base_id(layer), str(error))]


def _rows(
    site: Site,
    layer: int,
    made: list[families.SteeringVector],
    skipped: list[families.Skipped],
    path: str,
) -> Iterator[dict[str, object]]:
    read_from = {
        "site": site.name,
        "layer": layer,
        "read_layer": site.read_layer(layer),
        "chat_template": "no" if site.raw else "yes",
        "path": path,
    }
    for vector in made:
        yield read_from | {
            "vector_id": vector.vector_id,
            "family": vector.family,
            "norm": float(np.linalg.norm(vector.values)),
            "sha256": hashlib.sha256(vector.values.tobytes()).hexdigest(),
            "reason": "",
        }
    for one in skipped:
        yield read_from | {
            "vector_id": one.vector_id,
            "family": VectorId.parse(one.vector_id).family,
            "norm": None,
            "sha256": None,
            "reason": one.reason,
        }


@stage(
    dimensions=("model", "trait"),
    group="protocols",
    kinds={"pytorch", "safetensors", "duckdb"},
    code_version="3",
    needs=("model_snapshot", "prompt_sets"),
    after=("steering_calibration",),
    settings=(
        "seed",
        "numerics",
        "prompts.contrast_pairs",
        "vectors",
        "protocols",
        "protocol_texts",
    ),
)
def protocol_vectors(run: StageRun) -> Produced:
    """v and its families from the protocols' sites, to be added at the steered block.

    Sites: one block before the vector is added (`layer_offset`) or that block, from raw text
    (`no_chat_template`) or through the chat template. Random directions are those of
    `vector_families`. HDF5 holds the activations float32 [contrast prompts, d]. A vector that does
    not exist at a site is a row with a `reason`, and no protocol has texts of it.
    """
    found = protocol_sites.sites(run.study)
    layers = protocol_sites.layers(run.study, run.model_facts()["n_layers"])
    if not found:
        return Produced(rows=[Rows("protocol_vectors", frame_of("protocol_vectors", []))])
    prompts = prompt_selection.contrast_pairs(run.rows("prompt_sets"), run.study)
    positive = (prompts["polarity"] == "positive").to_numpy()
    read = sorted({site.read_layer(layer) for site in found for layer in layers})
    activations = _captured(run, prompts, read)
    path = run.layout.pair_file(ROOM, run.model, run.trait, ".safetensors")
    relative = run.layout.relative(path)
    rows: list[dict[str, object]] = []
    stored: dict[str, np.ndarray] = {}
    for site in found:
        for layer in layers:
            name = f"{'raw' if site.raw else 'chat'}/{site.read_layer(layer)}"
            made, skipped = _built(run, layer, activations[name], positive)
            stored |= {f"{site.name}/{v.vector_id}": v.values for v in made}
            rows += _rows(site, layer, made, skipped, relative)
            for one in skipped:
                run.log.warning(f"{one.vector_id} at {site.name}: {one.reason}")
    metadata = {"model": run.model, "trait": run.trait}
    write_vectors(path, stored, metadata)
    cache = run.layout.pair_file(ROOM, run.model, run.trait, ".h5")
    content = write_arrays(cache, activations)
    return Produced(
        rows=[Rows("protocol_vectors", frame_of("protocol_vectors", rows))],
        files={relative: hash_arrays(stored), run.layout.relative(cache): content},
        metadata={"sites": ", ".join(site.name for site in found), "vectors": len(stored)},
        metrics={"n_vectors": len(stored)},
    )
