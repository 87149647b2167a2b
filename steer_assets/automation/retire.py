"""A model taken out again: partition, runs, files, rows and lineage together."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from steer_assets.assets import plan
from steer_assets.assets.stage import STAGES
from steer_assets.automation import intake, partitions
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError, UnknownNameError
from steer_assets.storage import warehouse
from steer_assets.storage.atomic import write_text
from steer_assets.storage.layout import Layout
from steer_assets.storage.slugs import validate_slug

_ROOMS = ("models", "activations", "moments", "bases", "vectors", "reports", "external")


class ModelInUseError(RuntimeError):
    """A run is working on the model."""


@dataclass(slots=True)
class Retired:
    """What was removed."""

    paths: list[str] = field(default_factory=list)
    n_runs: int = 0
    synced: warehouse.SyncResult | None = None


def _names_model(partition: str, model: str) -> bool:
    return model in partition.split("|")


def _runs_of(instance: dg.DagsterInstance, model: str) -> list[dg.DagsterRun]:
    tags = ("dagster/partition", "dagster/partition/model")
    chosen: dict[str, dg.DagsterRun] = {}
    for tag in tags:
        known = {v for _, values in instance.get_run_tags([tag]) for v in values}
        for value in sorted(v for v in known if _names_model(v, model)):
            for run in instance.get_runs(dg.RunsFilter(tags={tag: value})):
                chosen[run.run_id] = run
    return list(chosen.values())


def _folders(layout: Layout, model: str) -> list[Path]:
    """Everything that is stored under the model's name, in every room."""
    found = [layout.root / room / model for room in _ROOMS]
    for top in ("tables", "partial"):
        found += sorted((layout.root / top).rglob(f"model={model}"))
    return [path for path in found if path.exists()]


def retire(layout: Layout, instance: dg.DagsterInstance, model: str) -> Retired:
    """Remove a model and everything made from it; what others were made from stays.

    A file of the user's catalog goes too; a built-in one, and a model that still lies in the
    watched folder, are remembered as retired until they change or somebody runs them by name.

    Raises:
        ModelInUseError: a run is working on it.
        UnknownNameError: nothing of that name exists.
    """
    validate_slug(model, "model")
    entries = catalog.model_keys()
    folders = _folders(layout, model)
    registered = instance.get_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME)
    if model not in entries and model not in registered and not folders:
        raise UnknownNameError("model", model, [*entries, *registered])
    runs = _runs_of(instance, model)
    if busy := [run.run_id for run in runs if not run.is_finished]:
        raise ModelInUseError(f"{model} is being worked on by run {busy[0]}; cancel it first")
    _remember(model)
    if model in entries:
        _leave_catalog(model)
    instance.delete_dynamic_partition(partitions.MODEL_PARTITIONS_NAME, model)
    retired = Retired(n_runs=len(runs))
    # The lineage goes first: an artifact without its record counts as never made.
    for folder in sorted(folders, key=lambda path: "asset_key=" not in path.as_posix()):
        shutil.rmtree(folder)
        retired.paths.append(layout.relative(folder))
    for run in runs:
        instance.delete_run(run.run_id)
    for stage in STAGES.values():
        if "model" in stage.dimensions:
            instance.event_log_storage.wipe_asset_cached_status(dg.AssetKey(stage.name))
    retired.synced = warehouse.sync(layout, expected_inputs=plan.expected_frame(layout))
    return retired


def _remember(model: str) -> None:
    """Keep the sensor from taking the same files in again."""
    signatures = intake.signatures_of(model)
    if signatures:
        write_text(intake.retired_mark(model), json.dumps(signatures))


def _leave_catalog(model: str) -> None:
    try:
        path = catalog.model_path(model)
    except CatalogError:
        path = catalog.user_catalog() / "models" / f"{model}.yaml"
    if path.is_relative_to(catalog.user_catalog()):
        path.unlink(missing_ok=True)
