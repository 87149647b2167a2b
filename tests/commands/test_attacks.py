"""`steer sql` against malicious queries."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from steer_assets.storage.database import sandboxed_sql
from steer_assets.storage.database.syncing import sync
from steer_assets.storage.database.warehouse import QueryError
from steer_assets.storage.layout import Layout
from tests.storage import synthetic

SECRET = "nobody may read this"
#: `OUT` is a folder next to the data folder, `DATA` the data folder, `PART` a Parquet part in it.
READS = {
    "a file": "FROM read_csv('OUT/secret.csv')",
    "a file of the system": "FROM read_text('/etc/passwd')",
    "a bare path": "FROM 'OUT/secret.csv'",
    "a path put together": "FROM read_text('OU' || 'T/secret.csv')",
    "beside a file that is allowed": "FROM read_parquet('PART'), read_text('OUT/secret.csv')",
    "in a list with one": "FROM read_text(['PART', 'OUT/secret.csv'])",
    "upwards": "FROM read_text('DATA/../OUT_NAME/secret.csv')",
    "a link to a file": "FROM read_text('DATA/tables/file.csv')",
    "a link to a folder": "FROM read_text('DATA/reports/folder/secret.csv')",
    "through a link and up again": "FROM read_text('DATA/reports/folder/../OUT_NAME/secret.csv')",
    "a pattern": "FROM glob('OUT/*')",
    "a pattern over links": "FROM read_text('DATA/*/*/secret.csv')",
    "the process's environment": "FROM read_text('/proc/self/environ')",
    "the environment by function": "SELECT getenv('HOME')",
    "a URL": "FROM read_text('file://OUT/secret.csv')",
    "the network": "FROM read_csv('http://127.0.0.1:9/x.csv')",
    "another database": "FROM read_duckdb('OUT/other.duckdb', table_name = 'secrets')",
    "SQL as a value": (
        "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''OUT/secret.csv'')'))"
    ),
    "SQL as a text": "FROM query('FROM read_text(''OUT/secret.csv'')')",
    "a value of this program": "FROM SECRET",
    "stored passwords": "FROM duckdb_secrets()",
}
WRITES = {
    "a copy": "COPY models TO 'OUT/x.csv'",
    "a copy into the data folder": "COPY models TO 'DATA/x.csv'",
    "a copy over the database": "COPY models TO 'DATA/steer.duckdb'",
    "a copy over a part": "COPY models TO 'PART'",
    "a copy within a question": "WITH x AS (COPY models TO 'DATA/x.csv') FROM x",
    "a copy over the database within one": "WITH x AS (COPY models TO 'DATA/steer.duckdb') FROM x",
    "a copy that is explained": "EXPLAIN ANALYZE COPY models TO 'DATA/x.csv'",
    "a copy after a question": "FROM read_parquet('PART'); COPY models TO 'DATA/x.csv'",
    "an export": "EXPORT DATABASE 'DATA/x'",
    "an import": "IMPORT DATABASE 'OUT'",
    "an attached database": "ATTACH 'OUT/x.duckdb' AS x; CREATE TABLE x.a AS SELECT 1",
    "an attached database of the data folder": "ATTACH 'DATA/x.duckdb' AS x",
    "rows": "INSERT INTO models SELECT * FROM models",
    "rows within a question": "WITH x AS (DELETE FROM models RETURNING *) FROM x",
    "a table": "CREATE TABLE x AS SELECT 1",
    "a dropped view": "DROP VIEW v_effects",
    "an extension": "INSTALL httpfs",
    "an extension from a file": "LOAD 'OUT/x.duckdb_extension'",
    "a log": "CALL enable_logging(storage = 'file', storage_config = {'path': 'OUT/x'})",
    "a log of queries": "SET log_query_path = 'OUT/x'",
    "a profile": "PRAGMA profiling_output = 'OUT/x'",
    "a secret": "CREATE PERSISTENT SECRET (TYPE s3, KEY_ID 'x')",
}
SETTINGS = (
    "enable_external_access = true",
    "GLOBAL enable_external_access = true",
    "lock_configuration = false",
    "allowed_directories = ['/']",
    "allowed_paths = ['/etc/passwd']",
    "temp_directory = '/etc'",
    "autoload_known_extensions = true",
    "python_enable_replacements = true",
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Layout:
    """A small warehouse, loaded; tests work on copies."""
    made = Layout(tmp_path_factory.mktemp("stored"))
    synthetic.write(made, "prompt_sets", {"trait": "formality"}, {"prompt_id": "a"})
    synthetic.write(made, "prompt_sets", {"trait": "sentiment"}, {"prompt_id": "b"})
    sync(made)
    return made


@pytest.fixture(scope="module")
def neighbour(tmp_path_factory) -> Path:
    """A folder of somebody else, with a secret in a file and in a database."""
    folder = tmp_path_factory.mktemp("neighbour")
    (folder / "secret.csv").write_text(f"secret\n{SECRET}\n")
    with duckdb.connect(str(folder / "other.duckdb")) as other:
        other.execute("CREATE TABLE secrets AS SELECT ? AS secret", [SECRET])
    return folder


@pytest.fixture
def outside(layout, stored, neighbour, tmp_path) -> Path:
    """A folder beside the data folder, with a secret that links in the data folder lead to."""
    shutil.copytree(stored.root, layout.root)
    folder = Path(shutil.copytree(neighbour, tmp_path / "outside"))
    (layout.root / "reports").mkdir()
    (layout.root / "reports" / "folder").symlink_to(folder)
    (layout.root / "tables" / "file.csv").symlink_to(folder / "secret.csv")
    return folder


def _part(layout) -> Path:
    return layout.part("prompt_sets", {"trait": "formality"})


def _query(text: str, layout, outside: Path) -> str:
    places = {"PART": _part(layout), "DATA": layout.root, "OUT_NAME": outside.name, "OUT": outside}
    for name, path in places.items():
        text = text.replace(name, str(path))
    return text


def _listing(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("attack", READS)
def test_nothing_outside_the_data_folder_is_read(steer, layout, outside, attack):
    answer = steer("sql", "--json", _query(READS[attack], layout, outside))
    assert (answer.code, answer.out) == (2, ""), answer
    assert SECRET not in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("attack", WRITES)
def test_nothing_is_written_anywhere(steer, layout, outside, tmp_path, attack):
    before = _listing(tmp_path)
    answer = steer("sql", _query(WRITES[attack], layout, outside))
    assert (answer.code, answer.out) == (2, ""), answer
    assert "Traceback" not in answer.err
    assert _listing(tmp_path) == before


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_shut_cannot_be_opened_again(steer, layout, outside, setting):
    read = _query("FROM read_text('OUT/secret.csv')", layout, outside)
    for question in (f"SET {setting}", f"SET {setting}; {read}"):
        answer = steer("sql", question)
        assert answer.code == 2
        assert "the configuration has been locked" in answer.err


def test_files_of_the_data_folder_may_be_read(steer, layout, outside):
    counted = steer("sql", "--json", f"SELECT count(*) AS n FROM read_parquet('{_part(layout)}')")
    assert (counted.code, counted.out) == (0, '{"n": 1}\n')
    every = f"SELECT prompt_id FROM read_parquet('{layout.root}/tables/prompt_sets/*/*.parquet')"
    ordered = steer("sql", "--json", f"{every} ORDER BY prompt_id DESC")
    assert [line[-3] for line in ordered.out.splitlines()] == ["b", "a"]


def test_a_refusal_says_what_a_question_may_do(steer, layout, outside):
    said = steer("sql", f"FROM read_text('{outside}/secret.csv')").refused()
    assert said.startswith("a question reads the database and, by one SELECT, files in")
    assert str(layout.root) in said


def test_what_is_wrong_with_a_question_that_reads_files_is_said(layout, outside):
    with pytest.raises(QueryError, match='"nope" not found'):
        sandboxed_sql.ask(layout, f"SELECT nope FROM read_parquet('{_part(layout)}')")
