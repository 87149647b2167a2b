"""Parquet parts: the durable record of every table.

A part holds one partition of one table. Measures must be finite and present before anything is
written: a NaN that reaches a table is a result that nobody can read.
"""

from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from steer_assets.storage.atomic import atomic_path
from steer_assets.storage.hashing import hash_frame


class DamagedFileError(RuntimeError):
    """A stored file that cannot be read, or holds other content than was written."""

    def __init__(self, path: Path, why: object, remedy: str) -> None:
        super().__init__(f"{path} is damaged ({why}); {remedy}")
        self.path = path


def first_bad_column(frame: pl.DataFrame) -> str | None:
    """Name of the first column that holds a NULL, a NaN or an infinity; None if all are clean."""
    for column in frame:
        if column.null_count():
            return f"{column.name} has {column.null_count()} missing values"
        if column.dtype.is_float() and not bool(column.is_finite().all()):
            return f"{column.name} has values that are not finite"
    return None


def write_part(path: Path, frame: pl.DataFrame) -> None:
    """Write `frame` as one Parquet part, atomically and read back.

    Raises:
        ValueError: a column holds NULL, NaN or infinity.
    """
    if bad := first_bad_column(frame):
        raise ValueError(f"{path.parent}: {bad}; nothing was written")
    expected = hash_frame(frame)

    def verify(temporary: Path) -> None:
        if hash_frame(pl.read_parquet(temporary, hive_partitioning=False)) != expected:
            raise OSError(f"{path} read back differently from what was written")

    with atomic_path(path, verify) as temporary:
        frame.write_parquet(temporary, compression="zstd", statistics=True)


def read_part(path: Path) -> pl.DataFrame:
    """Read one part.

    Raises:
        DamagedFileError: the file is truncated or not Parquet.
        FileNotFoundError: there is no such part.
    """
    try:
        return pl.read_parquet(path, hive_partitioning=False)
    except FileNotFoundError:
        raise
    except (PolarsError, OSError, ValueError) as error:
        raise DamagedFileError(path, error, "delete it and run again to remake it") from error
