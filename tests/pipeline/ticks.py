"""Automation conditions of the real definitions, evaluated tick by tick on an empty instance."""

from __future__ import annotations

import uuid

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.definitions import defs
from steer_assets.pipeline import partitions
from steer_assets.pipeline.stage import Stage
from steer_assets.storage.layout import PartitionKey
from tests.sizes import FULL

MODEL = "m"
#: Two of the catalog's traits, and all of them in full: events and time grow with their number.
TRAITS = catalog.trait_keys() if FULL else catalog.trait_keys()[:2]
PAIR_STAGES = [s for s in STAGES.values() if s.dimensions == ("model", "trait")]


def only(patch: pytest.MonkeyPatch, traits: list[str]) -> None:
    """The definitions as they are loaded from a catalog of these traits."""
    patch.setattr(partitions.traits, "_partition_keys", traits)


class Ticks:
    """An instance without runs, and the evaluations that follow one another on it."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self._cursor: AssetDaemonCursor | None = None

    def tick(self) -> dict[str, set[str]]:
        """Partitions asked for, by stage; the cursor is stored and read, as by the daemon.

        Models are read once: Dagster asks for them at every node of every condition.
        """
        models = self.instance.get_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                self.instance, "get_dynamic_partitions", lambda partitions_def_name: models
            )
            result = dg.evaluate_automation_conditions(defs, self.instance, cursor=self._cursor)
        self._cursor = result.cursor
        found = {name: set(result.get_requested_partitions(dg.AssetKey(name))) for name in STAGES}
        return {name: {str(p) for p in asked} for name, asked in found.items() if asked}

    def made(self, stage: Stage, key: PartitionKey, version: str, *, passed: bool = True) -> None:
        partition = partitions.dagster_key(key)
        name = dg.AssetKey(stage.name)
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                name,
                partition=partition,
                tags={"dagster/data_version": version, "dagster/code_version": "1"},
            )
        )
        newest = self.instance.fetch_materializations(name, limit=1).records[0]
        target = AssetCheckEvaluationTargetMaterializationData(
            storage_id=newest.storage_id, run_id=newest.run_id, timestamp=newest.timestamp
        )
        for check in defs.resolve_asset_graph().get(name).check_keys:
            evaluation = dg.AssetCheckEvaluation(
                asset_key=name,
                check_name=check.name,
                passed=passed,
                partition=partition,
                target_materialization_data=target,
            )
            # Not as a runless event: of those there can be one per check and partition only.
            event = dg.DagsterEvent(
                dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
                job_name="test",
                event_specific_data=evaluation,
            )
            self.instance.report_dagster_event(event, run_id=str(uuid.uuid4()))

    def roots_made(self, *, passed: bool = True) -> None:
        self.made(STAGES["model_snapshot"], {"model": MODEL}, "1")
        for trait in TRAITS:
            self.made(STAGES["prompt_sets"], {"trait": trait}, "1", passed=passed)
            self.made(STAGES["scorer_validation"], {"trait": trait}, "1")

    def pair_made(self, version: str = "1") -> None:
        for stage in PAIR_STAGES:
            for trait in TRAITS:
                self.made(stage, {"model": MODEL, "trait": trait}, version)

    def add_model(self, model: str = MODEL) -> None:
        self.instance.add_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME, [model])
