"""Four writers, a constant reader, an analyst who locks the database: no data are lost."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from steer_assets.paths import REPOSITORY
from steer_assets.storage.database import syncing, warehouse
from steer_assets.storage.layout import Layout
from tests.sizes import PARTITIONS

pytestmark = pytest.mark.faults

WRITERS, ROWS = 4, 40

WRITER = """
import sys
from pathlib import Path
import polars as pl
from steer_assets.storage import journal, lineage
from steer_assets.storage.database import syncing
from steer_assets.storage.files.hashing import hash_frame
from steer_assets.storage.layout import Layout
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.schema import conform

layout, writer, partitions, rows = Layout(Path(sys.argv[1])), *map(int, sys.argv[2:5])
for n in range(partitions):
    key = {"model": f"m{writer}-{n}", "trait": "t"}
    frame = conform(pl.DataFrame({
        "generation_id": [f"g{i}" for i in range(rows)], "scorer": "s",
        "score": [float(i) for i in range(rows)], **key, "run_id": "r", "code_version": "1",
    }), "classifier_scores")
    path = layout.part("classifier_scores", key)
    parts = [layout.relative(path), lineage.record_part(layout, "classifier_scores", key)]
    with journal.changing(layout, parts):
        write_part(path, frame)
        lineage.write_record(
            layout, asset_key="classifier_scores", key=key, data_version=hash_frame(frame),
            inputs=[lineage.InputVersion("code", "classifier_scores", "1")],
            files=[lineage.describe_file(layout, layout.relative(path))],
            study="x", code_version="1", run_id="r", mlflow_run_id="")
    syncing.catch_up(layout, wait_s=1.0)
"""

READER = """
import sys, time
from pathlib import Path
from steer_assets.storage.database import warehouse
from steer_assets.storage.layout import Layout

QUESTION = "SELECT model, count(*) AS n FROM classifier_scores GROUP BY model"
layout, answers = Layout(Path(sys.argv[1])), 0
while not (layout.root / "stop").exists():
    try:
        rows = warehouse.query(layout, QUESTION)
    except (warehouse.WarehouseBusyError, FileNotFoundError):
        time.sleep(0.01)
        continue
    except Exception as error:
        if "does not exist" in str(error):  # before the first sync has made the table
            continue
        raise
    assert set(rows["n"]) <= {int(sys.argv[2])}, rows
    answers += 1
print(answers)
"""

ANALYST = """
import sys, duckdb
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def loaded(layout: Layout) -> pl.DataFrame:
    return warehouse.query(
        layout,
        "SELECT model, count(*) AS n, count(DISTINCT generation_id) AS d "
        "FROM classifier_scores GROUP BY model",
    )


def all_there(layout: Layout) -> None:
    result = syncing.catch_up(layout, wait_s=30)
    assert not result.deferred
    assert not result.damaged
    rows = loaded(layout)
    assert len(rows) == WRITERS * PARTITIONS
    assert set(rows["n"]) == {ROWS}
    assert set(rows["d"]) == {ROWS}
    lineage_rows = warehouse.query(layout, "SELECT count(*) AS n FROM artifact_lineage").item()
    assert lineage_rows == WRITERS * PARTITIONS


def test_four_writers_and_a_reader(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    reader = start(READER, tmp_path, ROWS)
    writers = [start(WRITER, tmp_path, i, PARTITIONS, ROWS) for i in range(WRITERS)]
    for writer in writers:
        finish(writer)
    (tmp_path / "stop").touch()
    assert int(finish(reader)) > 0
    all_there(layout)


def test_an_analyst_holds_the_database_all_the_time(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    syncing.sync(layout)
    analyst = start(ANALYST, layout.database)
    assert analyst.stdout is not None
    assert analyst.stdout.readline() == "held\n"
    started = time.monotonic()
    writers = [start(WRITER, tmp_path, i, PARTITIONS, ROWS) for i in range(WRITERS)]
    for writer in writers:
        finish(writer)
    print(f"{WRITERS * PARTITIONS} partitions in {time.monotonic() - started:.1f} s")
    assert syncing.sync(layout).deferred
    finish(analyst)
    all_there(layout)
