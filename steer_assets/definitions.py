"""Everything Dagster sees; assembled here and nowhere else."""

import dagster as dg

from steer_assets import assets
from steer_assets.assets.execution import all_assets, resources
from steer_assets.automation.jobs import JOBS
from steer_assets.automation.sensors import catalog_models

defs = dg.Definitions(
    assets=all_assets(),
    jobs=JOBS,
    sensors=[catalog_models],
    resources=resources(),
    # One process per run: a run loads its model once; parallelism is across runs.
    executor=dg.in_process_executor,
)

__all__ = ["assets", "defs"]
