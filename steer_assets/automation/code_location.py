"""The Dagster definitions, assembled in this module only."""

import dagster as dg

from steer_assets import assets  # noqa: F401 - registers the stages
from steer_assets.automation.jobs import JOBS
from steer_assets.automation.schedules import SCHEDULES
from steer_assets.automation.sensors import SENSORS
from steer_assets.checks import CHECKS
from steer_assets.pipeline.dagster_asset import all_assets, resources

defs = dg.Definitions(
    assets=all_assets(),
    jobs=JOBS,
    asset_checks=CHECKS,
    sensors=SENSORS,
    schedules=SCHEDULES,
    resources=resources(),
    # One process per run: a run loads its model once; parallelism is across runs.
    executor=dg.in_process_executor,
)
