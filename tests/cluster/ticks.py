"""Seconds and statements of Dagster's ticks over many pairs, on the instance of `DAGSTER_HOME`.

Usage: python -m tests.cluster.ticks FILE MODELS ... with growing numbers of models. Traits are
those of the catalog; every pair is made once, by copies of the rows of one pair in Postgres. Writes
what each tick took to FILE, as JSON.
The ticks are those of Dagster's daemon: code server, stored cursor, evaluations, submitted runs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.asset_daemon import AssetDaemon
from sqlalchemy import text

from tests.statements import counted

#: Longer than `STEER_AUTOMATION_S` of the test, so that every tick is due.
_PAUSE_S = 1.5


_COPIES = """
INSERT INTO event_logs
    (id, run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
SELECT e.id + t.shift, e.run_id, {event}, e.dagster_event_type, e.timestamp, e.step_key,
    e.asset_key, {partition}
FROM event_logs e CROSS JOIN unnest({targets}) AS t(model, trait, shift)
WHERE e.id BETWEEN :low AND :high;
INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp)
SELECT e.event_id + t.shift, e.asset_key, e.key, {value}, e.event_timestamp
FROM asset_event_tags e CROSS JOIN unnest({targets}) AS t(model, trait, shift)
WHERE e.event_id BETWEEN :low AND :high;
INSERT INTO asset_check_executions (asset_key, check_name, partition, run_id, execution_status,
    evaluation_event, evaluation_event_timestamp, evaluation_event_storage_id,
    materialization_event_storage_id)
SELECT e.asset_key, e.check_name, {partition}, e.run_id, e.execution_status, {evaluation_event},
    e.evaluation_event_timestamp, e.evaluation_event_storage_id + t.shift,
    e.materialization_event_storage_id + t.shift
FROM asset_check_executions e CROSS JOIN unnest({targets}) AS t(model, trait, shift)
WHERE e.evaluation_event_storage_id BETWEEN :low AND :high;
SELECT setval(pg_get_serial_sequence('event_logs', 'id'), (SELECT max(id) FROM event_logs));
"""


def _copied(column: str) -> str:
    return f"replace(replace(e.{column}, :model, t.model), :trait, t.trait)"


def copy(instance: dg.DagsterInstance, made: Callable[[], None], of: tuple[str, str],
         to: list[tuple[str, str]]) -> None:  # fmt: skip
    """Write events of one pair by `made`, and the same rows for the pairs `to`."""
    storage: Any = instance.event_log_storage
    before = storage.get_maximum_record_id() or 0
    made()
    low, high = before + 1, storage.get_maximum_record_id()
    shifts = [(high - before) * (k + 1) for k in range(len(to))]
    names = ("event", "partition", "value", "evaluation_event")
    # Casts by name: the driver reads two colons as no parameter.
    targets = "CAST(:models AS text[]), CAST(:traits AS text[]), CAST(:shifts AS bigint[])"
    commands = _COPIES.format(targets=targets, **{name: _copied(name) for name in names})
    values = {
        "model": of[0], "trait": of[1], "low": low, "high": high, "shifts": shifts,
        "models": [m for m, _ in to], "traits": [t for _, t in to],
    }  # fmt: skip
    with storage.index_connection() as connection:
        for command in filter(None, map(str.strip, commands.split(";"))):
            connection.execute(text(command), values)


def _made(ticks: Any, dimensions: tuple[str, ...], model: str, trait: str) -> None:
    from steer_assets.assets import STAGES

    key = {"model": model, "trait": trait}
    for stage in STAGES.values():
        if stage.dimensions == dimensions:
            ticks.made(stage, {name: key[name] for name in dimensions}, "1")


def make_traits(ticks: Any, traits: list[str]) -> None:
    """Make what belongs to no model."""
    for trait in traits:
        _made(ticks, ("trait",), "", trait)


def make_models(ticks: Any, models: list[str], traits: list[str]) -> None:
    """Make models with all pairs and the summary; the last of each as Dagster itself writes it."""
    ticks.instance.add_dynamic_partitions("steer_model", models)
    first, last = (models[0], traits[0]), (models[-1], traits[-1])
    others = [(model, traits[0]) for model in models[1:-1]]
    pairs = [(m, t) for m in models for t in traits if (m, t) not in (first, last)]
    for dimensions, copies in ((("model",), others), (("model", "trait"), pairs)):
        copy(ticks.instance, partial(_made, ticks, dimensions, *first), first, copies)
        _made(ticks, dimensions, *last)
    _made(ticks, (), "", "")


class Daemon:
    """Dagster's daemon of automation conditions, tick by tick."""

    def __init__(self, context: Any) -> None:
        self._context, self._daemon = context, AssetDaemon({}, 1)
        self.instance: dg.DagsterInstance = context.instance

    def tick(self) -> dict[str, Any]:
        """One evaluation: what it took, the assets of each of its runs, bytes of its cursor."""
        time.sleep(_PAUSE_S)
        before = {run.run_id for run in self.instance.get_runs()}
        with counted() as cost:
            self._daemon._run_iteration_impl(self._context, None, {}, {})
        (state,) = (
            state
            for state in self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
            if state.instigator_name == "automation"
        )
        (tick,) = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        assert tick.error is None, tick.error
        runs = [run for run in self.instance.get_runs() if run.run_id not in before]
        asked = [len(run.asset_selection or ()) for run in runs]
        cursor = len(getattr(state.instigator_data, "cursor", None) or "")
        return {**asdict(cost), "asked": asked, "cursor": cursor}


def main(file: Path, *sizes: int) -> None:
    from steer_assets.catalog import catalog
    from tests.pipeline.test_conditions import Ticks

    target = ModuleTarget("steer_assets.definitions", None, None, "steer-assets")
    traits, models = catalog.trait_keys(), [f"model-{n:03d}" for n in range(max(sizes))]
    found: dict[str, Any] = {}
    with dg.DagsterInstance.get() as instance:
        ticks = Ticks(instance)
        make_traits(ticks, traits)
        with create_test_daemon_workspace_context(target, instance) as context:
            daemon = Daemon(context)
            for before, size in pairwise((0, *sizes)):
                pairs = f"{size * len(traits)} pairs"
                make_models(ticks, models[before:size], traits)
                found[f"{pairs}, many just made"] = daemon.tick()
                daemon.tick()
                found[f"{pairs}, nothing new"] = daemon.tick()
            instance.add_dynamic_partitions("steer_model", ["model-new"])
            found["a new model"] = daemon.tick()
            _made(ticks, ("model",), "model-new", "")
            for run in instance.get_runs():
                instance.report_run_canceled(run)
            found["its pairs"] = daemon.tick()
            found["nothing new, its pairs queued"] = daemon.tick()
    file.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
