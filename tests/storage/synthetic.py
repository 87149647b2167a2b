"""A small warehouse of made-up rows that fit together: two traits of one model."""

from datetime import datetime
from typing import Any

import polars as pl

from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.layout import Layout, PartitionKey, partition_name
from steer_assets.storage.lineage import InputVersion, describe_file, write_record
from steer_assets.storage.schema import columns, conform

MODEL = "toy"
TRAITS = ("formality", "sentiment")
LAYER = 15
VECTORS = {
    f"L{LAYER}.base": "base",
    f"L{LAYER}.v_plus": "base_plus_orthogonal",
    f"L{LAYER}.two_traits.politeness": "two_traits",
}


def _filler(dtype: pl.DataType) -> Any:
    if dtype == pl.String:
        return "x"
    if dtype.is_integer():
        return 1
    if dtype == pl.Boolean:
        return True
    if isinstance(dtype, pl.List):
        return [1, 2]
    return datetime(2026, 1, 1) if dtype.is_temporal() else 0.5


def frame(table: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """Rows of `table`, with defaults for missing columns."""
    filler = {name: _filler(dtype) for name, dtype in columns(table).items()}
    return conform(pl.DataFrame([{**filler, **row} for row in rows]), table)


def write(layout: Layout, table: str, key: PartitionKey, *rows: dict[str, Any]) -> str:
    """Write one part; returns its path relative to the data folder."""
    path = layout.part(table, key)
    write_part(path, frame(table, *({**key, **row} for row in rows)))
    return layout.relative(path)


def record(
    layout: Layout,
    asset: str,
    key: PartitionKey,
    inputs: list[InputVersion],
    version: str = "",
    study: str = "quick",
) -> None:
    """Lineage of an artifact whose file is the table's part at `key`."""
    path = layout.relative(layout.part(asset, key))
    write_record(
        layout,
        asset_key=asset,
        key=key,
        data_version=version or f"version of {asset} {partition_name(key)}",
        inputs=inputs,
        files=[describe_file(layout, path)],
        study=study,
        code_version="1",
        run_id="r",
        mlflow_run_id="",
    )
