"""Stages as Dagster assets: verify inputs, reuse or compute, store, record lineage, report.

A step reuses a stored result that computing would give again, unless `steer/force` is `true`.
"""

import time
from typing import Any

import dagster as dg
import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.pipeline import (
    freshness,
    orphaned_runs,
    partitions,
    preflight,
    ui_metadata,
    working_point,
)
from steer_assets.pipeline.conditions import condition, holds_language_model
from steer_assets.pipeline.depot import carrying
from steer_assets.pipeline.failure_messages import explain
from steer_assets.pipeline.stage import Produced, Rows, Stage, StageRun, registered
from steer_assets.resources.active_study import ActiveStudy
from steer_assets.resources.language_models import LanguageModels
from steer_assets.resources.progress import StageEvent, announce, listening, throttled_log
from steer_assets.resources.store import Store
from steer_assets.resources.tracking import Tracking
from steer_assets.resources.tracking_numbers import numbers
from steer_assets.storage import journal, lineage
from steer_assets.storage.database import syncing, warehouse
from steer_assets.storage.depot.objects import UnusableObjectError
from steer_assets.storage.files.hashing import hash_frame, hash_json
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.layout import Layout, PartitionKey, partition_name
from steer_assets.storage.schema import conform, nullable
from steer_assets.storage.shards import Shards

FORCE_TAG = "steer/force"
#: Stages that hold a language model; `dagster.yaml` sets how many of them may run at once.
LANGUAGE_MODEL_POOL = "language_model"


class UnusableInputError(RuntimeError):
    """An input of a stage is missing or damaged, or the model does not support the study."""


def _verify_inputs(layout: Layout, stage: Stage, key: PartitionKey, study: Study) -> None:
    """Raise UnusableInputError unless every input exists, is intact and is up to date.

    A result computed partly from old and partly from new inputs would belong to no defined study.
    """
    for upstream, upstream_key, record in freshness.input_records(layout, stage, key):
        name = f"{upstream.name} of {partition_name(upstream_key)}"
        if record is None:
            raise UnusableInputError(f"{name} is not materialised; materialise it first")
        if problems := lineage.damaged_files(layout, record):
            raise UnusableInputError(
                f"{name}: {'; '.join(problems)}; materialise it again to remake it"
            )
    if stale := freshness.stale_upstream(layout, stage, key, study):
        raise UnusableInputError(
            f"out of date under the study {study.study}: {'; '.join(stale)}; "
            "materialise these first, or the whole partition"
        )


def _verify_possible(layout: Layout, stage: Stage, key: PartitionKey, study: Study) -> None:
    """Raise UnusableInputError where the model does not support what the study requires."""
    asks = stage.dimensions == ("model", "trait") and holds_language_model(stage)
    if asks and (refused := preflight.refusal(layout, key, study)):
        raise UnusableInputError(refused)


def _complete(rows: Rows, stage: Stage, key: PartitionKey, run_id: str) -> pl.DataFrame:
    """Add the columns that all rows of the part have in common."""
    shared = {**key, **rows.extra, "run_id": run_id, "code_version": stage.code_version}
    return conform(
        rows.frame.with_columns(pl.lit(v).alias(k) for k, v in shared.items()), rows.table
    )


def _parts(layout: Layout, produced: Produced, stage: Stage, key: PartitionKey) -> list[str]:
    """Names of the parts of a result and of its record."""
    paths = [layout.part(rows.table, {**key, **rows.extra}) for rows in produced.rows]
    return [*map(layout.relative, paths), lineage.record_part(layout, stage.name, key)]


def _write_rows(
    layout: Layout, produced: Produced, stage: Stage, key: PartitionKey, run_id: str
) -> dict[str, str]:
    """Write every part; return content hashes by path."""
    hashes = {}
    for rows in produced.rows:
        path = layout.part(rows.table, {**key, **rows.extra})
        frame = _complete(rows, stage, key, run_id)
        write_part(path, frame, nullable(rows.table))
        hashes[layout.relative(path)] = hash_frame(frame)
    return hashes


def _result(
    layout: Layout, stage: Stage, key: PartitionKey, extra: dict[str, Any]
) -> dg.MaterializeResult:
    record = lineage.read_record(layout, stage.name, key)
    assert record is not None
    return dg.MaterializeResult(
        metadata={**ui_metadata.stored(layout, stage, key, record), **extra},
        data_version=dg.DataVersion(record.data_version),
    )


def _make(
    context: dg.AssetExecutionContext,
    stage: Stage,
    run: StageRun,
    tracking: Tracking,
    inputs: list[lineage.InputVersion],
    carried: carrying.Carrier | None,
) -> dict[str, Any]:
    """Compute, store and record one partition; return metadata for the UI."""
    layout, key = run.layout, run.key
    name = f"{stage.name} {partition_name(key)}"
    tags = {"asset": stage.name, "study": run.study.study, **key}
    started = time.monotonic()
    announce(StageEvent(stage.name, partition_name(key), "started"))
    with tracking.child(context.run_id, name, tags, context.log) as tracked:
        run.shards.begin()
        with listening(throttled_log(context.log)):
            produced = stage.make(run)
        with journal.changing(layout, _parts(layout, produced, stage, key)):
            hashes = _write_rows(layout, produced, stage, key, context.run_id) | produced.files
            record = lineage.write_record(
                layout,
                asset_key=stage.name,
                key=key,
                data_version=hash_json(hashes),
                inputs=inputs,
                files=[lineage.describe_file(layout, path) for path in sorted(hashes)],
                study=run.study.study,
                code_version=stage.code_version,
                run_id=context.run_id,
                mlflow_run_id=tracked.run_id,
                commit=carried.commit if carried else None,
            )
        run.shards.clear()
        seconds = time.monotonic() - started
        params = {"data_version": record.data_version, "code_version": stage.code_version}
        params |= run.study.settings(stage.settings)
        if holds_language_model(stage):
            params |= context.resources.language_models.running()
        metrics = {"seconds": seconds, **produced.metrics}
        tracked.record(params, metrics, produced.attachments, numbers(produced.frames))
    announce(StageEvent(stage.name, partition_name(key), "made", seconds))
    page = produced.attachments[0].name if produced.attachments else ""
    links = ui_metadata.tracking_link(tracked.experiment_id, tracked.run_id, page)
    return {
        **ui_metadata.describe(stage, run, produced),
        **links,
        "seconds": seconds,
        "reused": False,
    }


def _execute(context: dg.AssetExecutionContext, stage: Stage, study: Study) -> dg.MaterializeResult:
    resources = context.resources
    layout: Layout = resources.store.layout
    key = partitions.partition_of(context, stage.dimensions)
    forced = context.run.tags.get(FORCE_TAG) == "true"
    if carried := carrying.carrier(layout, stage, key):
        carried.bring_records()
    inputs = freshness.expected_inputs(layout, stage, key, study)
    fresh = lineage.freshness(layout, stage.name, key, inputs).fresh
    if fresh and not forced and (carried is None or carried.is_settled(context.log)):
        context.log.info(f"{stage.name} {partition_name(key)} is up to date, reused")
        announce(StageEvent(stage.name, partition_name(key), "reused"))
        return _result(layout, stage, key, ui_metadata.reused(layout, stage, key, context.log))
    try:
        if carried:
            carried.bring_inputs()
        _verify_inputs(layout, stage, key, study)
        _verify_possible(layout, stage, key, study)
    except UnusableInputError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    fingerprint = hash_json(sorted([i.asset_key, i.partition, i.data_version] for i in inputs))
    shards = Shards(layout, stage.name, key, fingerprint, carried.depot if carried else None)
    run = StageRun(stage.name, key, study, layout, resources.language_models, shards, context.log)
    try:
        run = working_point.settled(run)
        extra = _make(context, stage, run, resources.tracking, inputs, carried)
    except Exception as error:
        if words := explain(error, stage.name, partition_name(key)):
            raise dg.Failure(words, allow_retries=False) from error
        raise
    # The Parquet file is authoritative; while another process locks the database, the rows wait for
    # the next sync.
    try:
        synced = syncing.catch_up(layout, wait_s=1.0)
    except warehouse.WarehouseDamagedError as error:
        context.log.warning(str(error))
    else:
        if synced.deferred:
            context.log.info(f"loading into DuckDB is put off: {synced.deferred}")
    return _result(layout, stage, key, extra)


def as_asset(stage: Stage) -> dg.AssetsDefinition:
    """A stage as a Dagster asset."""

    @dg.asset(
        name=stage.name,
        deps=[*stage.needs, *stage.after],
        partitions_def=partitions.definition(stage.dimensions),
        group_name=stage.group,
        pool=LANGUAGE_MODEL_POOL if holds_language_model(stage) else None,
        automation_condition=condition(stage),
        kinds=set(stage.kinds),
        code_version=stage.code_version,
        description=stage.description,
        metadata=ui_metadata.declared(stage),
        required_resource_keys={"store", "study", "language_models", "tracking"},
        output_required=False,
    )
    def materialise(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        orphaned_runs.sign(context.instance, context.run)
        active: ActiveStudy = context.resources.study
        try:
            return _execute(context, stage, active.load())
        except UnusableObjectError as error:
            raise dg.Failure(str(error), allow_retries=False) from error

    return materialise


def all_assets() -> list[dg.AssetsDefinition]:
    """Every stage as an asset, in pipeline order."""
    return [as_asset(stage) for stage in registered().values()]


def resources(
    study: str = "", data_dir: str = "", tracking_uri: str = ""
) -> dict[str, dg.ConfigurableResource]:
    """The Dagster resources of the assets."""
    return {
        "store": Store(data_dir=data_dir),
        "study": ActiveStudy(name=study),
        "language_models": LanguageModels(),
        "tracking": Tracking(uri=tracking_uri),
    }
