"""A database that is damaged, shut or asked nonsense."""

import signal

import duckdb
import pytest

from steer_assets.storage.database.syncing import rebuild, sync
from steer_assets.storage.database.warehouse import QueryError, WarehouseDamagedError, query
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import table_statements, view_statements
from tests.sizes import in_full
from tests.storage import synthetic
from tests.storage.processes import run_python
from tests.storage.rows import FORMALITY, all_rows, count_rows


def _spoil(layout: Layout, how: str) -> None:
    content = bytearray(layout.database.read_bytes())
    if how == "rubbish":
        content = bytearray(b"not a database\n" * 1000)
    elif how == "empty":
        content = bytearray()
    elif how == "truncated":
        content = content[: len(content) // 2]
    elif how == "flipped header":
        content[5000] ^= 255
    elif how == "flipped in every block":
        for offset in range(12288 + 100, len(content), 4096):
            content[offset] ^= 255
    layout.database.write_bytes(content)


HARMS = [
    "rubbish", in_full("empty"), "truncated", in_full("flipped header"), "flipped in every block",
]  # fmt: skip


@pytest.mark.parametrize("how", HARMS)
def test_a_damaged_database_is_named_with_its_remedy_and_remade(known, how):
    before = all_rows(known)
    _spoil(known, how)
    for use in (lambda: sync(known), lambda: query(known, "FROM classifier_scores")):
        with pytest.raises(WarehouseDamagedError, match="`steer db rebuild` remakes it") as caught:
            use()
        assert str(known.database) in str(caught.value)
    rebuild(known)
    assert all_rows(known) == before


def test_damage_found_while_answering_is_named_too(layout):
    texts = (f"text {n * 7919 % 10007} " * 3 for n in range(20_000))
    rows = [{"prompt_id": f"p{n}", "text": text} for n, text in enumerate(texts)]
    synthetic.write(layout, "prompt_sets", {"trait": "formality"}, *rows)
    sync(layout)
    good = layout.database.read_bytes()
    question = "SELECT max(text), max(prompt_id), count(sha256) FROM prompt_sets"
    answer = query(layout, question)
    late = 0
    for offset in range(12288 + 1000, len(good), 262144):  # in every block of the file
        content = bytearray(good)
        content[offset] ^= 255
        layout.database.write_bytes(content)
        try:
            query(layout, "SELECT 1")
        except WarehouseDamagedError:
            continue  # found on opening
        try:
            assert query(layout, question).equals(answer)  # a block that is not in use
        except WarehouseDamagedError as error:
            late += "`steer db rebuild` remakes it" in str(error)
    assert late > 0
    rebuild(layout)
    assert count_rows(layout, "prompt_sets") == 20_000


def test_a_damaged_database_is_not_taken_for_a_busy_one_whatever_its_path_says(tmp_path):
    layout = Layout(tmp_path / "Could not lock o'clock")
    sync(layout)
    _spoil(layout, "rubbish")
    with pytest.raises(WarehouseDamagedError):
        sync(layout)
    rebuild(layout)
    assert sync(layout).deferred == ""


#: Somebody who writes a table of their own and is killed before DuckDB writes it to the file.
_KILLED_WRITER = """
import os, signal, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE own AS SELECT 1 AS a")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_log_of_a_killed_writer_belongs_to_its_database_and_not_to_a_new_one(known):
    before = all_rows(known)
    log = known.database.with_name("steer.duckdb.wal")
    assert run_python(_KILLED_WRITER, known.database).returncode == -signal.SIGKILL
    assert log.exists()
    assert query(known, "FROM own").item() == 1
    assert sync(known).loaded == []
    assert run_python(_KILLED_WRITER.replace("own", "other"), known.database).returncode < 0
    rebuild(known)
    assert not log.exists()
    assert all_rows(known) == before
    for table in ("own", "other"):
        with pytest.raises(duckdb.CatalogException):
            query(known, f"FROM {table}")


def test_a_database_that_may_not_be_read_is_not_called_damaged(known, monkeypatch):

    def refuse(*_: object, **__: object) -> None:  # root, as whom tests may run, is never refused
        raise duckdb.IOException(
            f'IO Error: Cannot open file "{known.database}": Permission denied'
        )

    monkeypatch.setattr(duckdb, "connect", refuse)
    with pytest.raises(OSError, match="cannot be opened"):
        query(known, "SELECT 1")


def test_asking_before_there_is_a_database(layout):
    with pytest.raises(FileNotFoundError, match="`steer db sync` makes it"):
        query(layout, "SELECT 1")
    assert not layout.root.exists()


def test_questions_and_answers(synced):
    assert query(synced, "SELECT 1 AS a, 2 AS a").row(0) == (1, 2)
    assert (
        query(synced, "SHOW TABLES").height == len(table_statements()) + len(view_statements()) + 4
    )
    for empty in ("", " ;", "-- nothing"):
        with pytest.raises(QueryError, match="write one SQL query"):
            query(synced, empty)
    with pytest.raises(QueryError, match=r"INTERVAL.*cast them to VARCHAR"):
        query(synced, "SELECT INTERVAL 1 DAY")
    for wrong in ("selekt", "SELECT * FROM nope", "SELECT nope FROM models", "SELECT 1 +"):
        with pytest.raises(duckdb.Error):
            query(synced, wrong)


def test_questions_change_nothing(known):
    before = all_rows(known)
    for statement in (
        "DELETE FROM classifier_scores",
        "DROP TABLE classifier_scores",
        "CREATE TABLE t (a INTEGER)",
        "DROP VIEW v_effects",
    ):
        with pytest.raises(duckdb.Error, match="read-only"):
            query(known, statement)
    assert all_rows(known) == before


def test_folders_with_odd_names(tmp_path):
    layout = Layout(tmp_path / 'it\'s "my" data; -- ünïcode')
    synthetic.write(layout, "classifier_scores", FORMALITY, {})
    assert sync(layout).loaded
    assert rebuild(layout).loaded
    assert count_rows(layout, "classifier_scores") == 1


def test_values_are_data_not_sql(empty):
    hostile = "'; DROP TABLE prompt_sets; --\x00\n\"é𝄞"
    path = empty.part("prompt_sets", {"trait": "formality"})
    row = {"trait": "formality", "text": hostile, "prompt_id": "a"}
    write_part(path, synthetic.frame("prompt_sets", row))
    sync(empty)
    assert query(empty, "SELECT text FROM prompt_sets").item() == hostile
