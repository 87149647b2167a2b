"""Removal of a model: partition, runs, files, rows and lineage together."""

import json
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from steer_assets.assets import STAGES
from steer_assets.automation import intake
from steer_assets.automation.jobs import JOB_NAMES
from steer_assets.automation.runner import run_job
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError, UnknownNameError
from steer_assets.pipeline import freshness, partitions
from steer_assets.pipeline.depot import carried_catalog, carrying
from steer_assets.resources.active_study import default_study
from steer_assets.resources.tracking import forget_model
from steer_assets.storage import journal, report_history
from steer_assets.storage.database import syncing
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.layout import MODEL_ROOMS, Layout
from steer_assets.storage.lineage import record_part
from steer_assets.storage.slugs import validate_slug

_ROOMS = (*MODEL_ROOMS, "external", report_history.ROOM)


class ModelInUseError(RuntimeError):
    """A run is using the model."""


@dataclass(slots=True)
class Retired:
    """What was removed."""

    paths: list[str] = field(default_factory=list)
    n_runs: int = 0
    synced: syncing.SyncResult | None = None


def _is_of_models(run: dg.DagsterRun) -> bool:
    """Whether the only partition value of a run is a model, not a trait of the same name."""
    if run.asset_selection:
        stages = [STAGES.get(key.to_user_string()) for key in run.asset_selection]
        return all(stage is not None and "model" in stage.dimensions for stage in stages)
    return run.job_name == JOB_NAMES[("model",)]


def _runs_of(instance: dg.DagsterInstance, model: str) -> list[dg.DagsterRun]:
    of_pairs = instance.get_runs(dg.RunsFilter(tags={"dagster/partition/model": model}))
    alone = instance.get_runs(dg.RunsFilter(tags={"dagster/partition": model}))
    return [*of_pairs, *filter(_is_of_models, alone)]


def _folders(layout: Layout, model: str) -> list[Path]:
    """All folders under the model's name, in every room."""
    found = [layout.root / room / model for room in _ROOMS]
    for top in ("tables", "partial"):
        found += sorted((layout.root / top).rglob(f"model={model}"))
    return [path for path in found if path.exists()]


def retire(layout: Layout, instance: dg.DagsterInstance, model: str) -> Retired:
    """Remove a model and everything made from it; results of other models stay.

    A file of the user's catalog is removed too. A built-in model, and one that is still in the
    watched folder, are marked as retired until their files change or a user runs them by name.

    Raises:
        ModelInUseError: a run is using it.
        UnknownNameError: nothing of that name exists.
    """
    validate_slug(model, "model")
    entries = catalog.model_names()
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
    carrying.retire(model)
    # Lineage first: if this is interrupted, artifacts without a record count as never made.
    parts = [part.name for part in layout.parts() if part.key.get("model") == model]
    with journal.changing(layout, parts):
        for folder in sorted(folders, key=lambda path: "asset_key=" not in path.as_posix()):
            shutil.rmtree(folder)
            retired.paths.append(layout.relative(folder))
    for run in runs:
        instance.delete_run(run.run_id)
        shutil.rmtree(Path(instance.storage_directory()) / run.run_id, ignore_errors=True)
    for stage in STAGES.values():
        if "model" in stage.dimensions:
            instance.event_log_storage.wipe_asset_cached_status(dg.AssetKey(stage.name))
    carried_catalog.carry(store=True)
    forget_model(model, logging.getLogger(__name__))
    _summarise(layout, instance)
    retired.synced = syncing.sync(layout, expected_inputs=freshness.expected_frame(layout))
    return retired


def _summarise(layout: Layout, instance: dg.DagsterInstance) -> None:
    """Make the summaries of the remaining reports, or remove them with the last report."""
    summaries = [stage for stage in STAGES.values() if not stage.dimensions]
    records = [freshness.record_of(layout, stage, {}) for stage in summaries]
    there = {s.name: record for s, record in zip(summaries, records, strict=True) if record}
    if not there:
        return
    if any(freshness.materialised(layout, STAGES["equivalence_reports"])):
        try:
            study = catalog.study(next(iter(there.values())).study)
        except CatalogError:
            study = catalog.study(default_study())
        run_job(instance, (), {}, study, list(there), force=False)
        return
    names = [
        name
        for asset, record in there.items()
        for name in (record_part(layout, asset, {}), *(file.path for file in record.files))
    ]
    carrying.retire(assets=there)
    with journal.changing(layout, [name for name in names if name.startswith("tables/")]):
        for name in names:
            (layout.root / name).unlink(missing_ok=True)


def _remember(model: str) -> None:
    """Mark the model, so that the sensor does not add the same files again."""
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
