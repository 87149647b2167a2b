"""Sensors: what appears in the catalog becomes a partition."""

import dagster as dg

from steer_assets.automation import partitions
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError


@dg.sensor(
    name="catalog_models",
    minimum_interval_seconds=20,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Adds a partition for every model of the catalog.",
)
def catalog_models(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Add partitions for models that the catalog has and the instance does not."""
    name = partitions.MODEL_PARTITIONS_NAME
    known = set(context.instance.get_dynamic_partitions(name))
    new = []
    for key in catalog.model_keys():
        if key in known:
            continue
        try:
            new.append(catalog.model_entry(key).model)
        except CatalogError as error:
            context.log.error(f"{key} is not added: {error}")
    requests = [partitions.models.build_add_request(new)] if new else []
    return dg.SensorResult(dynamic_partitions_requests=requests)
