"""Parquet into DuckDB: once, whole or not at all, and never by halves."""

import re

import polars as pl
import pytest

from steer_assets.storage.database import tables
from steer_assets.storage.database.syncing import rebuild, sync
from steer_assets.storage.database.warehouse import answer, connect, part_rows, query
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import table_statements, view_statements
from tests.sizes import FULL
from tests.storage import synthetic
from tests.storage.rows import FORMALITY, SENTIMENT, all_rows, count_rows


def test_an_empty_folder_gives_every_table_and_view(layout):
    result = sync(layout)
    assert (result.loaded, result.removed, result.damaged, result.deferred) == ([], [], [], "")
    with connect(layout.database, read_only=True) as connection:
        for name in [*table_statements(), *view_statements()]:
            assert answer(connection, f"FROM {name}").is_empty()


def test_sync_loads_everything_once(full):
    first = sync(full)
    assert first.loaded == [full.relative(part.path) for part in full.parts()]
    loaded = all_rows(full)
    assert len(loaded["null_spaces"]) == 6
    assert len(loaded["identifiability_summary"]) == 2
    second = sync(full)
    assert (second.loaded, second.removed) == ([], [])
    assert all_rows(full) == loaded


def test_tables_hold_exactly_what_parquet_holds(synced):
    with connect(synced.database, read_only=True) as connection:
        for part in synced.parts():
            stored = part_rows(connection, part.table, part.key)
            recorded = pl.read_parquet(part.path, hive_partitioning=False)
            assert stored.sort(pl.all()).equals(recorded.sort(pl.all())), part


def test_a_replaced_part_is_loaded_and_no_other(loaded):
    changed = synthetic.write(loaded, "steering_vectors", SENTIMENT, {"vector_id": "only"})
    assert sync(loaded).loaded == [changed]
    rows = query(loaded, "SELECT trait, vector_id FROM steering_vectors ORDER BY ALL").rows()
    assert rows == [
        *(("formality", vector) for vector in sorted(synthetic.VECTORS)),
        ("sentiment", "only"),
    ]


def test_a_part_made_anew_many_times_does_not_grow_the_database(empty):
    n_rows, few, many = (10_000, 12, 36) if FULL else (5_000, 5, 12)

    def write(n: int) -> None:
        rows = [{"prompt_id": f"p{i}", "text": f"{i * 7919} of {n} " * 9} for i in range(n_rows)]
        synthetic.write(empty, "prompt_sets", {"trait": "formality"}, *rows)
        assert len(sync(empty).loaded) == 1

    for n in range(few):
        write(n)
    grown = empty.database.stat().st_size
    for n in range(few, many):
        write(n)
    assert empty.database.stat().st_size < 1.5 * grown
    assert count_rows(empty, "prompt_sets") == n_rows


def test_a_removed_part_leaves_the_database_and_its_neighbours_stay(loaded):
    path = loaded.part("null_spaces", {**SENTIMENT, "kind": "fisher"})
    path.unlink()
    result = sync(loaded)
    assert (result.loaded, result.removed) == ([], [loaded.relative(path)])
    kinds = query(loaded, "SELECT trait, kind FROM null_spaces ORDER BY ALL").rows()
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


def test_rows_that_were_loaded_outlive_the_damage_of_their_part(loaded):
    before = all_rows(loaded)
    loaded.part("logit_distances", FORMALITY).write_bytes(b"PAR1 nothing PAR1")
    assert len(sync(loaded).damaged) == 1
    assert all_rows(loaded) == before


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
def test_parts_that_nobody_should_have_put_there_are_named_and_not_loaded(empty, case):
    where, frame, said = STRANGERS[case]
    _foreign(empty, where, frame)
    synthetic.write(empty, "classifier_scores", FORMALITY, {"score": 1.0})
    result = sync(empty)
    assert len(result.damaged) == 1
    assert str(empty.root / "tables" / where) in result.damaged[0]
    assert re.search(said, result.damaged[0])
    assert query(empty, "SELECT score FROM classifier_scores").to_series().to_list() == [1.0]
    assert count_rows(empty, "models") == 0


def test_rebuild_gives_what_sync_gives(loaded):
    synthetic.write(loaded, "steering_vectors", SENTIMENT, {"vector_id": "only"})
    loaded.part("null_spaces", {**SENTIMENT, "kind": "fisher"}).unlink()
    sync(loaded)
    synced = all_rows(loaded)
    loaded.database.unlink()
    result = rebuild(loaded)
    assert len(result.loaded) == len(list(loaded.parts()))
    assert all_rows(loaded) == synced
    assert sync(loaded).loaded == []


@pytest.mark.parametrize("what", ["view", "table"])
def test_changed_sql_reloads_everything(known, monkeypatch, what):
    if what == "view":
        more = {**view_statements(), "v_more": "CREATE VIEW v_more AS FROM v_effects"}
        monkeypatch.setattr(tables, "view_statements", lambda: more)
    else:
        more = {**table_statements(), "v_more": "CREATE TABLE v_more (a INTEGER)"}
        monkeypatch.setattr(tables, "table_statements", lambda: more)
    assert len(sync(known).loaded) == len(list(known.parts()))
    query(known, "FROM v_more")
    assert sync(known).loaded == []


def test_expected_inputs_are_replaced_not_added(empty):
    row = {"asset_key": "a", "partition": "all", "input_asset_key": "code"}
    row |= {"input_partition": "all", "input_data_version": "1", "problem": ""}
    for frame in (pl.DataFrame([row, {**row, "asset_key": "b"}]), pl.DataFrame([row])):
        sync(empty, expected_inputs=frame)
    assert count_rows(empty, "expected_inputs") == 1
    sync(empty)
    assert count_rows(empty, "expected_inputs") == 1  # kept where nothing new is said
    rebuild(empty, expected_inputs=pl.DataFrame([row, {**row, "asset_key": "b"}]))
    assert count_rows(empty, "expected_inputs") == 2
