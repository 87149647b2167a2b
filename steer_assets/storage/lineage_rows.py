"""Materialisations, and their rows in the table of lineage."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from steer_assets.storage.layout import PartitionKey
from steer_assets.storage.schema import conform

TABLE = "artifact_lineage"


@dataclass(frozen=True, slots=True, order=True)
class InputVersion:
    """One input of an artifact, an asset partition or an outside source, with its data version."""

    asset_key: str
    partition: str
    data_version: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of an artifact, relative to the data folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Record:
    """The newest materialisation of one asset partition."""

    asset_key: str
    partition: str
    data_version: str
    inputs: frozenset[InputVersion]
    files: tuple[StoredFile, ...]
    study: str
    code_version: str
    run_id: str
    mlflow_run_id: str
    created_at: datetime


def record_of(rows: pl.DataFrame, asset_key: str) -> Record:
    """The materialisation of which these are the rows."""
    files = rows.select("path", "bytes", "file_sha256").unique().sort("path")
    inputs = rows.select("input_asset_key", "input_partition", "input_data_version").unique()
    first = rows.row(0, named=True)
    return Record(
        asset_key=asset_key,
        partition=first["partition"],
        data_version=first["data_version"],
        inputs=frozenset(InputVersion(*row) for row in inputs.iter_rows()),
        files=tuple(StoredFile(*row) for row in files.iter_rows()),
        study=first["study"],
        code_version=first["code_version"],
        run_id=first["run_id"],
        mlflow_run_id=first["mlflow_run_id"],
        created_at=first["created_at"],
    )


def rows_of(record: Record, key: PartitionKey) -> pl.DataFrame:
    """One row per file and input."""
    rows = [
        {
            "asset_key": record.asset_key,
            "partition": record.partition,
            "model": key.get("model", ""),
            "trait": key.get("trait", ""),
            "data_version": record.data_version,
            "input_asset_key": source.asset_key,
            "input_partition": source.partition,
            "input_data_version": source.data_version,
            "study": record.study,
            "mlflow_run_id": record.mlflow_run_id,
            "path": file.path,
            "bytes": file.bytes,
            "file_sha256": file.sha256,
            "run_id": record.run_id,
            "code_version": record.code_version,
        }
        for file in record.files
        for source in sorted(record.inputs)
    ]
    frame = pl.DataFrame(rows).with_columns(pl.lit(record.created_at).alias("created_at"))
    return conform(frame, TABLE)
