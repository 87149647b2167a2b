"""Parquet into DuckDB: once, whole or not at all, and never by halves."""

import re
import shutil
import signal

import polars as pl
import pytest
from filelock import FileLock

from steer_assets.storage.database import syncing, tables
from steer_assets.storage.database.syncing import rebuild, sync
from steer_assets.storage.database.warehouse import WarehouseBusyError, connect, query
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import table_statements, view_statements
from tests.sizes import FULL
from tests.storage import synthetic
from tests.storage.processes import database_open, holding, run_python
from tests.storage.rows import all_rows, count_rows

FORMALITY = {"model": "toy", "trait": "formality"}
SENTIMENT = {"model": "toy", "trait": "sentiment"}


def test_an_empty_folder_gives_every_table_and_view(layout):
    result = sync(layout)
    assert (result.loaded, result.removed, result.damaged, result.deferred) == ([], [], [], "")
    for name in [*table_statements(), *view_statements()]:
        assert query(layout, f"FROM {name}").is_empty()


def test_sync_loads_everything_once(full):
    first = sync(full)
    assert first.loaded == [full.relative(part.path) for part in full.parts()]
    loaded = all_rows(full)
    assert len(loaded["null_spaces"]) == 6
    assert len(loaded["identifiability_summary"]) == 2
    second = sync(full)
    assert (second.loaded, second.removed) == ([], [])
    assert all_rows(full) == loaded


def test_tables_hold_exactly_what_parquet_holds(full):
    sync(full)
    for part in full.parts():
        where = " AND ".join(f"\"{name}\" = '{value}'" for name, value in part.key.items())
        stored = query(full, f'SELECT * FROM "{part.table}" WHERE {where or "TRUE"}')
        recorded = pl.read_parquet(part.path, hive_partitioning=False)
        assert stored.sort(pl.all()).equals(recorded.sort(pl.all())), part


def test_a_replaced_part_is_loaded_and_no_other(full):
    sync(full)
    changed = synthetic.write(full, "steering_vectors", SENTIMENT, {"vector_id": "only"})
    assert sync(full).loaded == [changed]
    rows = query(full, "SELECT trait, vector_id FROM steering_vectors ORDER BY ALL").rows()
    assert rows == [
        *(("formality", vector) for vector in sorted(synthetic.VECTORS)),
        ("sentiment", "only"),
    ]


def test_a_part_made_anew_many_times_does_not_grow_the_database(layout):
    def write(n: int) -> None:
        rows = [{"prompt_id": f"p{i}", "text": f"{i * 7919} of {n} " * 9} for i in range(10_000)]
        synthetic.write(layout, "prompt_sets", {"trait": "formality"}, *rows)
        assert len(sync(layout).loaded) == 1

    for n in range(12):
        write(n)
    grown = layout.database.stat().st_size
    for n in range(12, 36 if FULL else 24):
        write(n)
    assert layout.database.stat().st_size < 1.5 * grown
    assert count_rows(layout, "prompt_sets") == 10_000


def test_a_removed_part_leaves_the_database_and_its_neighbours_stay(full):
    sync(full)
    path = full.part("null_spaces", {**SENTIMENT, "kind": "fisher"})
    path.unlink()
    result = sync(full)
    assert (result.loaded, result.removed) == ([], [full.relative(path)])
    kinds = query(full, "SELECT trait, kind FROM null_spaces ORDER BY ALL").rows()
    assert len(kinds) == 5
    assert ("sentiment", "fisher") not in kinds


def test_a_damaged_part_is_named_and_the_others_are_loaded(full):
    path = full.part("logit_distances", FORMALITY)
    good = path.read_bytes()
    path.write_bytes(good[:100])
    result = sync(full)
    assert len(result.damaged) == 1
    assert str(path) in result.damaged[0]
    assert "delete it and run again" in result.damaged[0]
    assert len(result.loaded) == len(list(full.parts())) - 1
    assert query(full, "SELECT DISTINCT trait FROM logit_distances").item() == "sentiment"

    assert len(sync(full).damaged) == 1  # named as long as it is there
    path.write_bytes(good)
    healed = sync(full)
    assert (healed.loaded, healed.damaged) == ([full.relative(path)], [])


def test_rows_that_were_loaded_outlive_the_damage_of_their_part(full):
    sync(full)
    before = all_rows(full)
    full.part("logit_distances", FORMALITY).write_bytes(b"PAR1 nothing PAR1")
    assert len(sync(full).damaged) == 1
    assert all_rows(full) == before


def _foreign(layout: Layout, where: str, frame: pl.DataFrame) -> None:
    path = layout.root / "tables" / where / "part.parquet"
    path.parent.mkdir(parents=True)
    frame.write_parquet(path)


def _scores(**values: object) -> pl.DataFrame:
    frame = synthetic.frame("classifier_scores", {"model": "toy", "trait": "x", "score": 0.5})
    return frame.with_columns(pl.lit(value).alias(name) for name, value in values.items())


STRANGERS = {
    "of no table": ("nonsense/model=toy", _scores(), "no table 'nonsense'"),
    "outside any table": ("", _scores(), "no table ''"),
    "in a folder that is no key": ("classifier_scores/old", _scores(), "no column 'old'"),
    "in a folder that is SQL": (
        'classifier_scores/"; DROP TABLE models; --=x',
        _scores(),
        "no column '\"; DROP TABLE models; --'",
    ),
    "of another key": (
        "classifier_scores/model=toy/trait=y",
        _scores(),
        "rows whose trait is not 'y'",
    ),
    "without a column": (
        "classifier_scores/model=toy/trait=x",
        _scores().drop("score"),
        "missing columns score",
    ),
    "with a NaN": (
        "classifier_scores/model=toy/trait=x",
        _scores(score=float("nan")),
        "score has values that are not finite",
    ),
    "with a NULL": (
        "classifier_scores/model=toy/trait=x",
        _scores(scorer=None),
        "scorer has 1 missing values",
    ),
    "with words for numbers": (
        "classifier_scores/model=toy/trait=x",
        _scores(score="high"),
        "classifier_scores: .*high",
    ),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_parts_that_nobody_should_have_put_there_are_named_and_not_loaded(layout, case):
    where, frame, said = STRANGERS[case]
    _foreign(layout, where, frame)
    synthetic.write(layout, "classifier_scores", FORMALITY, {"score": 1.0})
    result = sync(layout)
    assert len(result.damaged) == 1
    assert str(layout.root / "tables" / where) in result.damaged[0]
    assert re.search(said, result.damaged[0])
    assert query(layout, "SELECT score FROM classifier_scores").to_series().to_list() == [1.0]
    assert count_rows(layout, "models") == 0


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_open_elsewhere_puts_sync_off_and_loses_nothing(full, read_only):
    sync(full)
    synthetic.write(full, "classifier_scores", FORMALITY, {})
    with holding(database_open(read_only), full.database):
        result = sync(full)
        assert "is open in another process" in result.deferred
        assert result.loaded == []
        if not read_only:
            with pytest.raises(WarehouseBusyError, match="close it or try again later"):
                query(full, "SELECT 1")
    assert sync(full).loaded == [full.relative(full.part("classifier_scores", FORMALITY))]


def test_a_connection_of_this_process_puts_sync_off_too(full):
    sync(full)
    with connect(full.database, read_only=True):
        assert "open" in sync(full).deferred


def test_one_sync_at_a_time(full):
    with FileLock(full.root / ".sync.lock"):
        assert sync(full, wait_s=0.05).deferred == "another sync is running"
        with pytest.raises(WarehouseBusyError, match="another sync is running"):
            rebuild(full, wait_s=0.05)
    assert sync(full).loaded


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
def test_killed_in_the_middle_the_next_sync_carries_on(full, command):
    sync(full)
    before = all_rows(full)
    if command == "sync":
        shutil.rmtree(full.root / "tables" / "prompt_sets")
        for key in (FORMALITY, SENTIMENT):
            synthetic.write(full, "steering_vectors", key, {"vector_id": "new"})
            synthetic.write(full, "logit_distances", key, {"vector_id": "new"})
    assert run_python(_KILLED_SYNC, full.root, command).returncode == -signal.SIGKILL
    assert all_rows(full) == before
    sync(full)
    left = [path.name for path in full.root.glob(".steer*")]
    assert (left == []) or command == "rebuild"
    rebuild(full)
    assert list(full.root.glob(".steer*")) == []
    assert (count_rows(full, "prompt_sets") == 0) == (command == "sync")


def test_rebuild_gives_what_sync_gives(full):
    sync(full)
    synthetic.write(full, "steering_vectors", SENTIMENT, {"vector_id": "only"})
    full.part("null_spaces", {**SENTIMENT, "kind": "fisher"}).unlink()
    sync(full)
    synced = all_rows(full)
    full.database.unlink()
    result = rebuild(full)
    assert len(result.loaded) == len(list(full.parts()))
    assert all_rows(full) == synced
    assert sync(full).loaded == []


def test_a_rebuild_that_fails_leaves_the_old_database(full, monkeypatch):
    sync(full)
    before = all_rows(full)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(syncing, "_load", fail)
    with pytest.raises(OSError, match="No space left"):
        rebuild(full)
    assert all_rows(full) == before
    assert list(full.root.glob(".steer.duckdb*")) == []


def test_a_sync_that_fails_changes_nothing(full, monkeypatch):
    sync(full)
    before = all_rows(full)
    for key in (FORMALITY, SENTIMENT):
        synthetic.write(full, "steering_vectors", key, {"vector_id": "new"})
    real = syncing._load
    done: list[object] = []

    def fail_late(*arguments) -> None:
        if done:
            raise OSError(28, "No space left on device")
        done.append(real(*arguments))

    monkeypatch.setattr(syncing, "_load", fail_late)
    assert "No space left" in sync(full).deferred
    assert all_rows(full) == before
    monkeypatch.undo()
    assert len(sync(full).loaded) == 2


@pytest.mark.parametrize("what", ["view", "table"])
def test_changed_sql_reloads_everything(full, monkeypatch, what):
    sync(full)
    if what == "view":
        more = {**view_statements(), "v_more": "CREATE VIEW v_more AS FROM v_effects"}
        monkeypatch.setattr(tables, "view_statements", lambda: more)
    else:
        more = {**table_statements(), "v_more": "CREATE TABLE v_more (a INTEGER)"}
        monkeypatch.setattr(tables, "table_statements", lambda: more)
    assert len(sync(full).loaded) == len(list(full.parts()))
    query(full, "FROM v_more")
    assert sync(full).loaded == []


def test_expected_inputs_are_replaced_not_added(layout):
    row = {"asset_key": "a", "partition": "all", "input_asset_key": "code"}
    row |= {"input_partition": "all", "input_data_version": "1", "problem": ""}
    for frame in (pl.DataFrame([row, {**row, "asset_key": "b"}]), pl.DataFrame([row])):
        sync(layout, expected_inputs=frame)
    assert count_rows(layout, "expected_inputs") == 1
    sync(layout)
    assert count_rows(layout, "expected_inputs") == 1  # kept where nothing new is said
    rebuild(layout, expected_inputs=pl.DataFrame([row, {**row, "asset_key": "b"}]))
    assert count_rows(layout, "expected_inputs") == 2
