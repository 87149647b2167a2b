"""A sync that another process, a kill or a full disk prevents: put off, or without effect."""

import shutil
import signal

import pytest
from filelock import FileLock

from steer_assets.storage.database import syncing
from steer_assets.storage.database.syncing import rebuild, sync
from steer_assets.storage.database.warehouse import WarehouseBusyError, connect, query
from tests.storage import synthetic
from tests.storage.processes import database_open, holding, run_python
from tests.storage.rows import FORMALITY, SENTIMENT, all_rows, count_rows


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_open_elsewhere_puts_sync_off_and_loses_nothing(loaded, read_only):
    synthetic.write(loaded, "classifier_scores", FORMALITY, {})
    with holding(database_open(read_only), loaded.database):
        result = sync(loaded)
        assert "is open in another process" in result.deferred
        assert result.loaded == []
        if not read_only:
            with pytest.raises(WarehouseBusyError, match="close it or try again later"):
                query(loaded, "SELECT 1")
    assert sync(loaded).loaded == [loaded.relative(loaded.part("classifier_scores", FORMALITY))]


def test_a_connection_of_this_process_puts_sync_off_too(loaded):
    with connect(loaded.database, read_only=True):
        assert "open" in sync(loaded).deferred


def test_one_sync_at_a_time(loaded):
    changed = synthetic.write(loaded, "classifier_scores", FORMALITY, {})
    with FileLock(loaded.root / ".sync.lock"):
        assert sync(loaded, wait_s=0.05).deferred == "another sync is running"
        with pytest.raises(WarehouseBusyError, match="another sync is running"):
            rebuild(loaded, wait_s=0.05)
    assert sync(loaded).loaded == [changed]


#: Syncs, and is killed in the middle.
_KILLED_SYNC = """
import os, signal, sys
from pathlib import Path
from steer_assets.storage.database import syncing, tables
from steer_assets.storage.layout import Layout

load, done = syncing._load, []

def load_three(connection, part):
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(load(connection, part))

syncing._load = load_three
getattr(syncing, sys.argv[2])(Layout(Path(sys.argv[1])))
"""


@pytest.mark.faults
@pytest.mark.parametrize("command", ["sync", "rebuild"])
def test_killed_in_the_middle_the_next_sync_carries_on(loaded, command):
    before = all_rows(loaded)
    if command == "sync":
        shutil.rmtree(loaded.root / "tables" / "prompt_sets")
        for key in (FORMALITY, SENTIMENT):
            synthetic.write(loaded, "steering_vectors", key, {"vector_id": "new"})
            synthetic.write(loaded, "logit_distances", key, {"vector_id": "new"})
    assert run_python(_KILLED_SYNC, loaded.root, command).returncode == -signal.SIGKILL
    assert all_rows(loaded) == before
    sync(loaded)
    left = [path.name for path in loaded.root.glob(".steer*")]
    assert (left == []) or command == "rebuild"
    rebuild(loaded)
    assert list(loaded.root.glob(".steer*")) == []
    assert (count_rows(loaded, "prompt_sets") == 0) == (command == "sync")


def test_a_rebuild_that_fails_leaves_the_old_database(loaded, monkeypatch):
    before = all_rows(loaded)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(syncing, "_load", fail)
    with pytest.raises(OSError, match="No space left"):
        rebuild(loaded)
    assert all_rows(loaded) == before
    assert list(loaded.root.glob(".steer.duckdb*")) == []


def test_a_sync_that_fails_changes_nothing(loaded, monkeypatch):
    before = all_rows(loaded)
    for key in (FORMALITY, SENTIMENT):
        synthetic.write(loaded, "steering_vectors", key, {"vector_id": "new"})
    real = syncing._load
    done: list[object] = []

    def fail_late(*arguments) -> None:
        if done:
            raise OSError(28, "No space left on device")
        done.append(real(*arguments))

    monkeypatch.setattr(syncing, "_load", fail_late)
    assert "No space left" in sync(loaded).deferred
    assert all_rows(loaded) == before
    monkeypatch.undo()
    assert len(sync(loaded).loaded) == 2
