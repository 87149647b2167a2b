"""Partitions: models are added and removed at run time, traits come from the catalog."""

import dagster as dg

from steer_assets.catalog import catalog
from steer_assets.pipeline.depot import carried_catalog
from steer_assets.storage.layout import PartitionKey

MODEL_PARTITIONS_NAME = "steer_model"

carried_catalog.bring()
models = dg.DynamicPartitionsDefinition(name=MODEL_PARTITIONS_NAME)
traits = dg.StaticPartitionsDefinition(catalog.trait_keys())
pairs = dg.MultiPartitionsDefinition({"model": models, "trait": traits})

_BY_DIMENSIONS: dict[tuple[str, ...], dg.PartitionsDefinition | None] = {
    ("model", "trait"): pairs,
    ("model",): models,
    ("trait",): traits,
    (): None,
}


def definition(dimensions: tuple[str, ...]) -> dg.PartitionsDefinition | None:
    """The partitions definition of an asset with these dimensions."""
    return _BY_DIMENSIONS[dimensions]


def dagster_key(key: PartitionKey) -> str | None:
    """The Dagster partition key for `key`; None for an unpartitioned asset."""
    if set(key) == {"model", "trait"}:
        return dg.MultiPartitionKey(key)
    return next(iter(key.values()), None)


def partition_of(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, dimensions: tuple[str, ...]
) -> PartitionKey:
    """The partition key of the current step."""
    if not dimensions:
        return {}
    if isinstance(context.partition_key, dg.MultiPartitionKey):
        return {name: context.partition_key.keys_by_dimension[name] for name in dimensions}
    return {dimensions[0]: context.partition_key}
