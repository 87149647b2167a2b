"""Full disks and lost services are reported, and the next run continues."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import mlflow
import pytest

from steer_assets.automation.runner import MaterialisationError, RecordsLockedError, instance
from steer_assets.catalog import catalog
from steer_assets.pipeline import orphaned_runs
from steer_assets.processes import own_tag
from steer_assets.storage.layout import partition_name
from tests.automation.killing import versions
from tests.finished import KEY, run_tiny
from tests.sizes import FULL
from tests.storage.processes import holding
from tests.tiny import MODEL, STUDY, World

pytestmark = pytest.mark.faults


#: Where the disk ends, and what lies there: a module, the function that writes, the file.
FULL_DISKS = {
    "hdf5": ("assets.geometry.activation_caches", "write_arrays", "activations/tiny/formality.h5"),
    "safetensors": (
        "assets.vectors.vector_families", "write_vectors", "vectors/tiny/formality.safetensors"
    ),
    "parquet": (
        "pipeline.dagster_asset", "write_part",
        "tables/generations/model=tiny/trait=formality/part.parquet",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FULL_DISKS if FULL else ["hdf5"])
def test_a_full_disk_is_said_and_loses_nothing(finished: World, kind: str) -> None:
    before = versions(finished)
    module, writer, file = FULL_DISKS[kind]
    path = finished.layout.root / file
    path.unlink()
    # The limit of the operating system stands for the end of the disk, for this one file only:
    # SQLite would hit it first.
    code = (
        "import resource, signal\n"
        f"import steer_assets.{module} as module\n"
        "from steer_assets.automation.runner import materialise\n"
        "from steer_assets.catalog import catalog\n"
        "from steer_assets.paths import data_folder\n"
        "from steer_assets.storage.layout import Layout\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"free, write = resource.RLIM_INFINITY, module.{writer}\n"
        "def limited(*args, **kwargs):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, free))\n"
        "    try:\n"
        "        return write(*args, **kwargs)\n"
        "    finally:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (free, free))\n"
        f"module.{writer} = limited\n"
        f"study = catalog.study('{STUDY}')\n"
        f"materialise(Layout(data_folder()), ['{MODEL}'], ['formality'], study)\n"
    )
    environment = {**os.environ, **finished.environment}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "disk is full" in done.stderr, done.stderr[-3000:]
    assert not path.exists()
    assert list(path.parent.glob(".*.tmp")) == []
    run_tiny(finished)
    assert versions(finished) == before


def test_a_vanished_model_folder_is_named(finished: World) -> None:
    source = Path(catalog.model_entry(MODEL).source.location)
    aside = source.with_name("aside")
    source.rename(aside)
    try:
        with pytest.raises(MaterialisationError, match=r"no config\.json"):
            run_tiny(finished)
    finally:
        aside.rename(source)
    assert run_tiny(finished).made == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "sqlite:////proc/nowhere/mlflow.db"])
def test_mlflow_out_of_reach_costs_nothing_but_the_record(
    finished: World, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = versions(finished)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    finished.layout.part("logit_distances", KEY).unlink()
    assert run_tiny(finished).made == [("logit_distances", partition_name(KEY))]
    assert versions(finished) == before


#: No other process can read the database while this one runs.
LOCK = (
    "import sqlite3, sys\n"
    "held = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    "held.execute('PRAGMA locking_mode = EXCLUSIVE')\n"
    "held.execute('BEGIN EXCLUSIVE')\n"
)


def test_a_locked_mlflow_store_costs_nothing_but_the_record(finished: World) -> None:
    before = versions(finished)
    finished.layout.part("logit_distances", KEY).unlink()
    with holding(LOCK, finished.layout.tracking_database):
        assert run_tiny(finished).made == [("logit_distances", partition_name(KEY))]
    assert versions(finished) == before
    assert run_tiny(finished).made == []


def test_a_locked_record_of_runs_is_named_and_the_next_run_carries_on(finished: World) -> None:
    before = versions(finished)
    finished.layout.part("logit_distances", KEY).unlink()
    record = finished.root / "home" / "history" / "runs.db"
    assert record.exists()
    with holding(LOCK, record), pytest.raises(RecordsLockedError, match="is locked"):
        run_tiny(finished)
    assert run_tiny(finished).made == [("logit_distances", partition_name(KEY))]
    assert versions(finished) == before


def test_runs_of_dead_processes_are_closed_everywhere(finished: World) -> None:
    """The process is one that has ended, as after kill -9."""
    dead = subprocess.run([sys.executable, "-c", "print(0)"], capture_output=True, check=True)
    assert dead.returncode == 0
    tag = "999999999:1"
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{finished.layout.tracking_database}")
    experiment = client.get_experiment_by_name("steer-assets")
    assert experiment is not None
    orphan = client.create_run(experiment.experiment_id, tags={"steer.process": tag})
    ours = client.create_run(experiment.experiment_id, tags={"steer.process": own_tag()})
    with instance() as found:
        job = dg.job(name="dead")(lambda: None)
        run, early = (found.create_run_for_job(job, tags={}) for _ in range(2))
        for signed in (run, early):  # the other one was killed before it began
            found.add_run_tags(signed.run_id, {orphaned_runs.PROCESS_TAG: f"{signed.run_id} {tag}"})
        inherited = found.create_run_for_job(
            job, tags={orphaned_runs.PROCESS_TAG: f"{run.run_id} {tag}"}
        )
        for made in (run, inherited):
            found.report_run_canceling(made)
        assert set(orphaned_runs.close_orphaned_runs(found)) == {run.run_id, early.run_id}
        assert orphaned_runs.close_orphaned_runs(found) == []
    run_tiny(finished)
    assert client.get_run(orphan.info.run_id).info.status == "KILLED"
    assert client.get_run(ours.info.run_id).info.status == "RUNNING"
