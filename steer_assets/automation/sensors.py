"""Sensors: new models become partitions, and partitions are materialised through to the summary."""

import os

import dagster as dg

from steer_assets.automation import intake
from steer_assets.automation.catch_up import everything_missing
from steer_assets.paths import data_folder
from steer_assets.pipeline import partitions
from steer_assets.pipeline.depot import carried_catalog, carrying
from steer_assets.pipeline.orphaned_runs import close_lost_starts, close_orphaned_runs
from steer_assets.resources.tracking import sweep_orphans
from steer_assets.storage.database import syncing, warehouse
from steer_assets.storage.layout import Layout

AUTOMATION_TAG = "steer/by"
#: Seconds between two evaluations of the conditions; one of a large graph takes seconds.
_INTERVAL_S = int(os.environ.get("STEER_AUTOMATION_S") or 15)


@dg.sensor(
    name="new_models",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Adds a partition for every model of the catalog and of the watched folder "
        "(`incoming/` in the data folder, or STEER_MODELS_DIR). A model that cannot be used is "
        "told once in the log of a tick, and taken in when it is mended."
    ),
)
def new_models(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Add partitions for usable models that the instance does not have."""
    for run_id in close_orphaned_runs(context.instance):
        context.log.warning(f"run {run_id} is marked failed: its process died")
    sweep_orphans(context.log)
    for conflict in carried_catalog.carry(store=True).conflicts:
        context.log.error(conflict)
    known = set(context.instance.get_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME))
    found = intake.look(context.cursor)
    for problem in found.told:
        context.log.error(f"not added: {problem}")
    for key in found.added:
        context.log.info(f"{key} is entered in the catalog")
    new = [key for key in found.usable if key not in known]
    requests = [partitions.models.build_add_request(new)] if new else []
    return dg.SensorResult(dynamic_partitions_requests=requests, cursor=found.cursor)


#: Evaluates the conditions of all assets; one run per partition, so that each appears separately in
#: the UI.
automation = dg.AutomationConditionSensorDefinition(
    name="automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=_INTERVAL_S,
    emit_backfills=False,
    run_tags={AUTOMATION_TAG: "automation"},
    description=(
        "Runs models and traits that are new since it first looked, and light stages again when "
        "their inputs change. What was missing before is run by `everything_missing`."
    ),
)


@dg.sensor(
    name="warehouse",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Loads what other hosts made into DuckDB, on the host that STEER_WAREHOUSE names.",
)
def load_warehouse(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Load new parts; no run is requested."""
    layout = Layout(data_folder())
    carrying.catch_up(layout)
    result = syncing.catch_up(layout)
    for problem in result.damaged:
        context.log.error(f"not loaded into DuckDB: {problem}")
    if result.deferred:
        return dg.SkipReason(f"put off: {result.deferred}")
    return dg.SkipReason(f"{len(result.loaded)} parts loaded, {len(result.removed)} removed")


@dg.sensor(
    name="lost_starts",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails runs whose Ray job ended before they began, so that they are made again.",
)
def lost_starts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Fail such runs; no run is requested."""
    closed = close_lost_starts(context.instance)
    return dg.SkipReason(f"failed: {', '.join(closed)}" if closed else "every run has its job")


SENSORS = [
    new_models,
    automation,
    everything_missing,
    # Where every host may load the database, each run does so itself.
    *([load_warehouse] if warehouse.kept_on() else []),
    *([lost_starts] if os.environ.get("STEER_RAY_ADDRESS") else []),
]
