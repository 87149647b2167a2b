"""Values that could not be measured are NULL, only in the columns declared nullable."""

from pathlib import Path

import polars as pl
import pytest

from steer_assets.storage.files.parquet import read_part, write_part
from steer_assets.storage.schema import nullable, table_statements


def test_only_columns_declared_without_not_null_may_lack_a_value(tmp_path: Path) -> None:
    frame = pl.DataFrame({"value": [1.0, None], "name": ["a", "b"]})
    with pytest.raises(ValueError, match="value has 1 missing"):
        write_part(tmp_path / "part", frame)
    write_part(tmp_path / "part", frame, nullable=["value"])
    assert read_part(tmp_path / "part").equals(frame)


def test_a_number_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not finite"):
        write_part(tmp_path / "part", pl.DataFrame({"value": [None, float("nan")]}), ["value"])


def test_the_statements_of_the_tables_say_which() -> None:
    assert nullable("protocol_measures") == {"value", "low", "high", "by_itself"}
    assert nullable("null_space_angles") == {"own_null_energy"}
    # Keys and names are there in every table.
    assert not any({"model", "trait", "run_id"} & nullable(table) for table in table_statements())
