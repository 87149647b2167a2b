"""Dagster's partitions of models."""

import dagster as dg

from steer_assets.automation import intake
from steer_assets.pipeline import partitions


def add(found: dg.DagsterInstance, models: list[str]) -> None:
    """Make partitions of models that have none yet."""
    known = set(found.get_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME))
    if new := [model for model in models if model not in known]:
        found.add_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME, new)
    for model in new:
        intake.welcome_back(model)


def enter(found: dg.DagsterInstance) -> list[str]:
    """Make partitions of all usable models of the catalog and of the watched folder.

    Automation leaves to the user what it finds missing when it first looks; models without a
    partition would count as new. Returns complaints about models that cannot be used.
    """
    looked = intake.look(None)
    add(found, looked.usable)
    return looked.told
