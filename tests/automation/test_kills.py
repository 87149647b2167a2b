"""A run killed with -9 at any time, repeatedly: the next one continues to the same result."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import mlflow
import pytest

from steer_assets.paths import REPOSITORY
from steer_assets.storage.database import warehouse
from tests.sizes import KILLS
from tests.tiny import World, living_in

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3000)]


def test_kills_change_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.automation.killing", str(tmp_path), str(KILLS), "1"],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print({name: found[name] for name in ("seconds", "counted", "last")})
    assert found["counted"]["killed"] == KILLS
    assert found["counted"]["failed"] == 0, found["log"]
    assert found["last"] == "finished", found["log"]
    assert found["harm"] == []
    assert found["after"] == found["undisturbed"]
    undisturbed, after = found["histories"]
    assert after == undisturbed
    world = World(tmp_path / "rough")
    with living_in(world):
        root = world.layout.root
        assert [str(path) for path in root.rglob(".*.tmp")] == []
        assert not list((root / "partial").rglob("*.*"))
        rows = warehouse.query(world.layout, "SELECT count(*) AS n FROM generations")
        assert rows.item() > 0
        client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{world.layout.tracking_database}")
        experiment = client.get_experiment_by_name("steer-assets")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], max_results=5000)
        assert "RUNNING" not in {run.info.status for run in runs}
        assert "KILLED" in {run.info.status for run in runs}
        with dg.DagsterInstance.get() as instance:
            assert {run.status for run in instance.get_runs()} <= {
                dg.DagsterRunStatus.SUCCESS,
                dg.DagsterRunStatus.FAILURE,
            }
