"""A live run of another host is neither failed nor closed, and none of its files is removed.

The other host is a namespace of this machine, or its tags alone.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import mlflow
import pytest

from steer_assets import cli
from steer_assets.automation.runner import instance
from steer_assets.pipeline.orphaned_runs import PROCESS_TAG, close_orphaned_runs
from steer_assets.resources.tracking import sweep_orphans
from steer_assets.storage import garbage
from steer_assets.storage.files.atomic import write_text
from tests.namespaces import another_host, namespaces_are_allowed
from tests.tiny import MODEL, World, living_in, make_world

pytestmark = pytest.mark.faults

#: A Dagster run, an MLflow run and half a file; the file's other half when told to.
_LIVE = """
import sys
from pathlib import Path
import dagster as dg
import mlflow
from steer_assets.automation.runner import instance
from steer_assets.pipeline.orphaned_runs import sign
from steer_assets.processes import own_tag
from steer_assets.storage.files.atomic import atomic_path

target, store = Path(sys.argv[1]), sys.argv[2]
elsewhere = {"dagster/partition/model": "theirs", "dagster/partition/trait": "theirs"}
with instance() as found:
    run = found.create_run_for_job(dg.job(name="live")(lambda: None), tags=elsewhere)
    sign(found, run)
client = mlflow.MlflowClient(tracking_uri=store)
experiment = client.create_experiment("steer-assets", artifact_location=target.parent.as_uri())
tracked = client.create_run(experiment, tags={"steer.process": own_tag()})
with atomic_path(target) as temporary:
    temporary.write_text("theirs")
    print(run.run_id, tracked.info.run_id, flush=True)
    sys.stdin.readline()
print("written", flush=True)
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # The time of an entry's last change cannot be set back.
    monkeypatch.setattr(garbage, "SETTLED_S", -1.0)
    with living_in(make_world(tmp_path / "world", scorer=tmp_path / "scorer")) as world:
        yield world


@pytest.mark.skipif(not namespaces_are_allowed(), reason="namespaces are not allowed here")
def test_a_live_run_of_another_host_is_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = world.layout.part("generations", {"model": MODEL, "trait": "formality"})
    store = f"sqlite:///{world.layout.tracking_database}"
    environment = {**os.environ, **world.environment}
    with another_host(_LIVE, target, store, name="node-b", environment=environment) as theirs:
        assert theirs.stdout is not None
        assert theirs.stdin is not None
        run_id, tracked_id = theirs.stdout.readline().split()
        (temporary,) = target.parent.glob(".*.tmp")
        dead = target.with_name(".part.parquet.999999999.tmp")
        for _ in range(2):
            dead.touch()
            with instance() as found:
                assert close_orphaned_runs(found) == []
                assert not found.get_run_by_id(run_id).is_finished
            assert sweep_orphans(logging.getLogger("test")) == 0
            write_text(target.with_name("other.parquet"), "ours")
            monkeypatch.setattr(sys, "argv", ["steer", "gc", "--yes"])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            assert ended.value.code == 0
            assert not dead.exists()  # gc removes what died here ...
            assert temporary.read_text() == "theirs"  # ... and nothing of the other host
        client = mlflow.MlflowClient(tracking_uri=store)
        assert client.get_run(tracked_id).info.status == "RUNNING"
        theirs.stdin.write("\n")
        theirs.stdin.flush()
        assert theirs.stdout.readline() == "written\n"
    assert target.read_text() == "theirs"


@pytest.mark.parametrize("days", [0, 8])
def test_a_silent_run_of_another_host_is_closed_after_a_week(
    world: World, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{world.layout.tracking_database}")
    experiment = client.create_experiment("steer-assets")
    tag = "4711:998.77@node-b+9f3c02ab-effffffc"
    tracked = client.create_run(experiment, tags={"steer.process": tag})
    with instance() as found:
        run = found.create_run_for_job(dg.job(name="silent")(lambda: None))
        found.add_run_tags(run.run_id, {PROCESS_TAG: f"{run.run_id} {tag}"})
        later = time.time() + days * 86_400
        monkeypatch.setattr("steer_assets.processes.time.time", lambda: later)
        assert close_orphaned_runs(found) == ([run.run_id] if days else [])
    assert sweep_orphans(logging.getLogger("test")) == bool(days)
    status = client.get_run(tracked.info.run_id).info.status
    assert status == ("KILLED" if days else "RUNNING")
