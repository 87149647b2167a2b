"""`steer gc` removes exactly the unreferenced files."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from steer_assets import cli
from steer_assets.automation import housekeeping
from steer_assets.automation.runner import instance
from steer_assets.pipeline.orphaned_runs import PROCESS_TAG, signature
from steer_assets.storage import garbage
from steer_assets.storage.database import warehouse
from steer_assets.storage.files.parquet import DamagedFileError
from tests.finished import KEY, TRAIT, run_tiny
from tests.tiny import MODEL, World

pytestmark = pytest.mark.faults
DEAD = 999_999_999
GARBAGE = {
    f"activations/{MODEL}/gone.h5": "no artifact has this file",
    f"vectors/{MODEL}/.{TRAIT}.safetensors.{DEAD}.tmp": "left by a process that died",
    f"tables/generations/model={MODEL}/trait=gone/part.parquet": "no artifact has these rows",
    "tables/artifact_lineage/asset_key=no_stage/part.parquet": "no stage is called no_stage",
    f"partial/generations/model={MODEL}/trait={TRAIT}/{'a' * 24}/x.json": (
        "a piece of a stage that is finished"
    ),
    f"partial/no_stage/model={MODEL}/{'a' * 24}/x.h5": "no stage is called no_stage",
    f"reports/{MODEL}/gone.html": "no artifact has this file",
    f"reports/{MODEL}/gone/figures/forest.svg": "its report is gone",
    f".steer.duckdb.{DEAD}.tmp": "left by a process that died",
}
FOLDERS = {
    f"models/.{MODEL}.{DEAD}.tmp": "left by a process that died",
    "models/forgotten": "no snapshot has this folder",
    f"mlruns/{'b' * 32}": "its MLflow run is gone",
}
OURS = [
    f"external/{MODEL}/{TRAIT}/mine.safetensors",
    "catalog/traits/mine.csv",
    "incoming/mine/model.safetensors",
    "catalog/models/.notes.1.tmp",
    "tables/generations/notes.txt",
    f"reports/{MODEL}/notes.md",
    "shots/page.png",
    "notes.txt",
    f"activations/{MODEL}/.{TRAIT}.h5.{os.getpid()}.tmp",
    f"partial/generations/model={MODEL}/trait=unfinished/{'a' * 24}/x.json",
    "models/mine/config.json",
    "models/not-a-model/readme.txt",
]


def _aged(path: Path, days: float = 1.0, *, content: str = "x") -> Path:
    """A file whose times are days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


@pytest.fixture
def aged(finished: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A finished run of yesterday, with garbage and with files of the user."""
    root = finished.layout.root
    for name in [*GARBAGE, *OURS, *(f"{folder}/config.json" for folder in FOLDERS)]:
        _aged(root / name)
    _aged(
        root / "catalog/models/mine.yaml",
        content=f"""\
model: mine
title: mine
source: {{kind: folder, location: {root / "models/mine"}}}
""",
    )
    # The time of an entry's last change cannot be set back.
    monkeypatch.setattr(garbage, "SETTLED_S", -1.0)
    return finished


def _listing(root: Path) -> set[str]:
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}


def _find(world: World) -> dict[str, str]:
    with instance() as found:
        waste = housekeeping.files(world.layout, found)
    return {world.layout.relative(w.path): w.why for w in waste}


def _gc(capsys, monkeypatch, *arguments: str) -> list[dict]:
    monkeypatch.setattr(sys, "argv", ["steer", "gc", "--json", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    return [json.loads(line) for line in said.out.splitlines()]


def test_a_finished_run_leaves_nothing_to_remove(finished: World) -> None:
    assert _find(finished) == {}


def test_only_what_nothing_refers_to_is_found_and_then_removed(
    aged: World, capsys, monkeypatch
) -> None:
    root = aged.layout.root
    before = _listing(root)
    shown = _gc(capsys, monkeypatch)
    assert {row["path"]: row["why"] for row in shown} == GARBAGE | FOLDERS
    assert all(row["bytes"] == 1 and not row["removed"] for row in shown)
    assert _listing(root) - {"steer.duckdb"} == before - {"steer.duckdb"}
    removed = _gc(capsys, monkeypatch, "--yes")
    assert all(row["removed"] for row in removed)
    assert len(removed) == len(shown)
    gone = {*GARBAGE, *(f"{folder}/config.json" for folder in FOLDERS)}
    assert before - _listing(root) == gone
    assert not (root / "reports" / MODEL / "gone").exists()
    assert _gc(capsys, monkeypatch) == []
    (root / "external" / MODEL / TRAIT / "mine.safetensors").unlink()  # it is no vector
    assert run_tiny(aged).made == []


def test_rows_that_nothing_refers_to_leave_the_database(finished: World, capsys, monkeypatch):
    layout = finished.layout
    monkeypatch.setattr(garbage, "SETTLED_S", -1.0)
    layout.part("artifact_lineage", {"asset_key": "generations", **KEY}).unlink()
    question = "SELECT count(*) FROM generations"
    assert warehouse.query(layout, question).item() > 0
    _gc(capsys, monkeypatch, "--delete")
    assert warehouse.query(layout, question).item() == 0
    assert ("generations", f"{MODEL}|{TRAIT}") in run_tiny(finished).made


def test_what_changed_a_moment_ago_is_left(finished: World) -> None:
    path = finished.layout.root / "activations" / MODEL / "new.h5"
    path.write_text("x")
    assert _find(finished) == {}


def test_what_changes_after_it_was_found_is_left(aged: World) -> None:
    with instance() as found:
        waste = housekeeping.files(aged.layout, found)
    for one in waste:
        file = one.path / "config.json" if one.path.is_dir() else one.path
        file.write_text("a run has just written this")
        assert not garbage.remove(aged.layout.root, one)
        assert file.exists()


@pytest.mark.parametrize("tags", [{"dagster/partition/model": MODEL}, {}])
def test_what_a_run_in_progress_may_work_on_is_left(aged: World, tags) -> None:
    with instance() as found:
        run = next(iter(found.get_runs()))
        found.delete_run(run.run_id)
        mine = {**tags, PROCESS_TAG: signature(run.run_id)}
        found.add_run(run.with_status(dg.DagsterRunStatus.STARTED).with_tags(mine))
    left = set(_find(aged))
    names = set(GARBAGE | FOLDERS) - {f"mlruns/{'b' * 32}"}
    assert left & {name for name in names if MODEL in name or not tags} == set()
    assert ("models/forgotten" in left) == bool(tags)


def test_links_are_neither_followed_nor_removed(aged: World, tmp_path: Path) -> None:
    root = aged.layout.root
    outside = tmp_path / "outside"
    shutil.copytree(root / "activations", outside / "room")
    _aged(outside / "room" / MODEL / "gone.h5")
    before = _listing(outside)
    shutil.rmtree(root / "moments")
    (root / "moments").symlink_to(outside / "room")
    (root / "activations" / "other").symlink_to(outside / "room" / MODEL)
    (root / "activations" / MODEL / "link.h5").symlink_to(outside / "room" / MODEL / "gone.h5")
    (root / "models" / "linked").symlink_to(outside / "room")
    with instance() as found:
        waste = housekeeping.files(aged.layout, found)
    assert {aged.layout.relative(w.path) for w in waste} == set(GARBAGE | FOLDERS)
    # A folder that becomes a link between looking and removing leads nowhere either.
    (victim,) = [w for w in waste if w.path.name == "gone.h5"]
    shutil.rmtree(root / "activations" / MODEL)
    (root / "activations" / MODEL).symlink_to(outside / "room" / MODEL)
    assert not garbage.remove(root, victim)
    assert _listing(outside) == before


def test_nothing_is_judged_by_a_record_that_cannot_be_read(aged: World) -> None:
    path = aged.layout.part("artifact_lineage", {"asset_key": "generations", **KEY})
    path.write_bytes(b"PAR1")
    with pytest.raises(DamagedFileError, match="generations"):
        _find(aged)


def test_old_runs_go_and_partitions_stay_materialised(finished: World, capsys, monkeypatch):
    stage = dg.AssetKey("prompt_sets")
    with instance() as found:
        first = {run.run_id for run in found.get_runs()}
    run_tiny(finished, force=True)
    with instance() as found:
        newest = {run.run_id for run in found.get_runs()} - first
        before = found.get_materialized_partitions(stage)
        later = time.time() + 100 * 86400
    monkeypatch.setattr(housekeeping.time, "time", lambda: later)
    home = finished.root / "home"
    shown = _gc(capsys, monkeypatch, "--runs-older-than", "90")
    assert {row["path"] for row in shown} == {f"run {run_id}" for run_id in first}
    assert all(row["bytes"] > 0 and row["why"] == "run ended 100 days ago" for row in shown)
    _gc(capsys, monkeypatch, "--runs-older-than", "90", "--yes")
    with instance() as found:
        assert {run.run_id for run in found.get_runs()} == newest
        assert found.get_materialized_partitions(stage) == before
        event = found.get_latest_materialization_event(stage)
        assert event is not None
        assert event.run_id in newest
    assert not [p for p in home.rglob("*") if any(run_id in p.name for run_id in first)]
    assert _gc(capsys, monkeypatch, "--runs-older-than", "90") == []
