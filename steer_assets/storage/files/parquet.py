"""Parquet parts: the durable record of every table.

A part holds one partition of one table. Measures must be finite and present before anything is
written, because a NaN in a table cannot be interpreted later.

Parquet does not detect a flipped byte, so each part contains the hash of its content. Parts are
read with Arrow, which raises an error on a damaged file; polars may abort the process.
"""

import io
from collections.abc import Collection
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet
from polars.exceptions import PanicException

from steer_assets.storage.files.atomic import atomic_path
from steer_assets.storage.files.hashing import flat, hash_frame

_HASH_KEY = "steer_content_sha256"
_REMEDY = "delete it and run again to remake it"


class DamagedFileError(RuntimeError):
    """A stored file that cannot be read, or whose content differs from what was written."""

    def __init__(self, path: Path, why: object, remedy: str) -> None:
        super().__init__(f"{path} is damaged ({why}); {remedy}")
        self.path = path


def first_bad_column(frame: pl.DataFrame, nullable: Collection[str] = ()) -> str | None:
    """Name of the first column that contains a NULL, a NaN or an infinity; None if there is none.

    Columns in `nullable` may be NULL, which means that a value could not be measured.
    """
    for column in frame:
        values = flat(column)
        missing = column.null_count() or values.null_count()
        if missing and column.name not in nullable:
            return f"{column.name} has {missing} missing values"
        if values.dtype.is_float() and not np.isfinite(values.drop_nulls().to_numpy()).all():
            return f"{column.name} has values that are not finite"
    return None


def write_part(path: Path, frame: pl.DataFrame, nullable: Collection[str] = ()) -> None:
    """Write `frame` as one Parquet part, atomically, verified by reading it back.

    Raises:
        ValueError: a column contains NaN or infinity, or NULL without being in `nullable`.
    """
    if bad := first_bad_column(frame, nullable):
        raise ValueError(f"{path.parent}: {bad}; nothing was written")
    expected = hash_frame(frame, without=())

    def verify(temporary: Path) -> None:
        if hash_frame(read_part(temporary), without=()) != expected:
            raise OSError(f"{path} read back differently from what was written")

    # Built in memory: on a full disk polars only reports that the file is out of specification.
    content = io.BytesIO()
    frame.write_parquet(
        content, compression="zstd", statistics=True, metadata={_HASH_KEY: expected}
    )
    with atomic_path(path, verify) as temporary:
        temporary.write_bytes(content.getbuffer())


def _read(path: Path) -> tuple[pl.DataFrame, str | None]:
    """A part, and the content hash stored by its writer; None in a foreign file."""
    with pyarrow.parquet.ParquetFile(path) as file:
        table = file.read()
        noted = (file.metadata.metadata or {}).get(_HASH_KEY.encode())
    table.validate(full=True)
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame, None if noted is None else noted.decode()


def read_part(path: Path) -> pl.DataFrame:
    """Read one part.

    Raises:
        DamagedFileError: the file is truncated, not Parquet, or its values differ from those
        written.
        FileNotFoundError: there is no such part.
    """
    try:
        frame, noted = _read(path)
        whole = noted is None or noted == hash_frame(frame, without=())
    except (FileNotFoundError, PermissionError):
        raise
    # parsers raise arbitrary exceptions on a damaged file
    except (Exception, PanicException) as error:
        raise DamagedFileError(path, str(error).split("\n")[0], _REMEDY) from error
    if not whole:
        raise DamagedFileError(path, "its content is not what was written", _REMEDY)
    return frame
