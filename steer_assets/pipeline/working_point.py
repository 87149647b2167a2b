"""The study as later stages see it: blocks and doses that calibration chose, in place of `auto`.

What was chosen is an input of every stage after it, so that another choice makes them stale, and
the same choice from other numbers does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from steer_assets.catalog.layers import resolve_layers
from steer_assets.catalog.sections.generation import Arms
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.files.parquet import DamagedFileError, read_part
from steer_assets.storage.lineage import InputVersion

if TYPE_CHECKING:
    from steer_assets.catalog.studies import Study
    from steer_assets.pipeline.stage import Stage, StageRun
    from steer_assets.storage.layout import Layout, PartitionKey

CALIBRATION = "steering_calibration"
_BEFORE = ("activation_caches", CALIBRATION)


def follows(stage_name: str, key: PartitionKey, study: Study) -> bool:
    """Whether a stage works at blocks or doses that calibration chooses."""
    return study.automatic and {"model", "trait"} <= set(key) and stage_name not in _BEFORE


def chosen_doses(layout: Layout, key: PartitionKey) -> dict[int, float]:
    """Dose by chosen block, the best block first.

    Raises:
        FileNotFoundError, DamagedFileError: there is no calibration that can be read.
    """
    rows = read_part(layout.part(CALIBRATION, dict(key))).filter(pl.col("rank") > 0).sort("rank")
    return {int(layer): float(alpha) for layer, alpha in rows.select("layer", "alpha").rows()}


def inputs(layout: Layout, stage: Stage, key: PartitionKey, study: Study) -> Iterator[InputVersion]:
    """What calibration chose, for the stages that follow it."""
    if not follows(stage.name, key, study):
        return
    try:
        version = hash_json([list(pair) for pair in chosen_doses(layout, key).items()])
    except (FileNotFoundError, DamagedFileError):
        version = "missing"
    yield InputVersion("study", "working point", version)


def settled(run: StageRun) -> StageRun:
    """The run with what calibration chose in its study; as it is, where nothing is left to it."""
    if not follows(run.stage, run.key, run.study):
        return run
    doses = chosen_doses(run.layout, run.key)
    study = in_study(run.study, doses, run.model_facts()["n_layers"])
    return dataclasses.replace(run, study=study, doses=doses if run.study.automatic_doses else {})


def of_report(layout: Layout, key: PartitionKey, study: Study) -> Study:
    """The study that the pages of a partition are about."""
    if not study.automatic:
        return study
    facts = read_part(layout.part("models", {"model": key["model"]})).row(0, named=True)
    return in_study(study, chosen_doses(layout, key), facts["n_layers"])


def in_study(study: Study, doses: dict[int, float], n_layers: int) -> Study:
    """`study` with blocks, and doses where they are left open too, as chosen; best block first.

    Protocols with switches are run at the best block.
    """
    best = next(iter(doses))
    changed: dict[str, object] = {}
    if study.layers.automatic:
        changed["layers"] = study.layers.model_copy(update={"steer": tuple(sorted(doses))})
        if study.protocol_texts is not None:
            changed["protocol_texts"] = study.protocol_texts.model_copy(update={"layers": (best,)})
    if study.automatic_doses:
        arms = [
            part for block in study.generation.arms for part in _with_doses(block, doses, n_layers)
        ]
        changed["generation"] = study.generation.model_copy(update={"arms": tuple(arms)})
        changed["behaviour"] = study.behaviour.model_copy(update={"steered_alpha": doses[best]})
    return study.model_copy(update=changed)


def _with_doses(block: Arms, doses: dict[int, float], n_layers: int) -> Iterator[Arms]:
    """Arms of one dose per block of the model, where the study leaves the dose open."""
    if block.alphas:
        yield block
        return
    named = resolve_layers(block.layers, n_layers) if block.layers else sorted(doses)
    for layer, alpha in ((layer, doses[layer]) for layer in named):
        yield block.model_copy(update={"layers": (layer,), "alphas": (alpha,)})
