"""UI metadata of a materialisation: columns and their lineage, counts, and a plot."""

import base64
import logging
import os
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import polars as pl

from steer_assets.pipeline.column_lineage import main_table, sources
from steer_assets.pipeline.stage import Produced, Stage, StageRun
from steer_assets.reporting.safe_text import plain
from steer_assets.storage import lineage
from steer_assets.storage.files.atomic import atomic_path
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.storage.schema import columns, table_statements

_COLUMN = re.compile(r'^ {4}"?(\w+)"? +(\w+)[^-\n]*(?:-- *(.*))?$', re.MULTILINE)
_MOST_CHARACTERS = 80


@cache
def _comments(table: str) -> dict[str, str]:
    """The SQL comment of each column of a table."""
    found = _COLUMN.findall(table_statements()[table])
    return {name: comment for name, _, comment in found}


def column_schema(table: str) -> dg.TableSchema:
    """Columns of a table with types and descriptions."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, str(dtype), description=_comments(table).get(name) or None)
            for name, dtype in columns(table).items()
        ]
    )


def column_lineage(stage: Stage) -> dg.TableColumnLineage:
    """Upstream columns from which the columns of an asset's main table are computed."""
    made_from = dict(sources(stage.name))
    known = columns(main_table(stage.name))
    for column, origin in (("model", "model_snapshot"), ("trait", "prompt_sets")):
        if column in known and origin in stage.needs:
            made_from.setdefault(column, [(origin, column)])
    return dg.TableColumnLineage(
        deps_by_column={
            column: [dg.TableColumnDep(dg.AssetKey(asset), name) for asset, name in origins]
            for column, origins in made_from.items()
        }
    )


def preview(frame: pl.DataFrame, n: int = 8) -> str:
    """The first rows as a Markdown table; their content is escaped."""

    def cell(value: object) -> str:
        if isinstance(value, int | float):
            return f"{value:.4g}" if isinstance(value, float) else str(value)
        text = plain(str(value))
        text = text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"
        # the last four would turn plain text into links or character references
        for mark in "\\`*_[]<>|~&:@.":
            text = text.replace(mark, "\\" + mark)
        return " ".join(text.split())

    head = frame.head(n)
    rows = [head.columns, ["---"] * head.width, *([cell(v) for v in row] for row in head.rows())]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def picture(table: str, frame: pl.DataFrame, file: Path, served: str) -> str:
    """A small plot as Markdown; empty if the table has none.

    It is part of the text, and so of an event, which holds the text twice. With `STEER_THUMBNAILS`
    = `files` it is written to `file`, and the text has its address `served`.
    """
    from steer_assets.reporting.figures.thumbnails import thumbnail

    png = thumbnail(table, frame)
    if png is None:
        return ""
    address = served
    if os.environ.get("STEER_THUMBNAILS") == "files":
        with atomic_path(file) as temporary:
            temporary.write_bytes(png)
    else:
        address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f"![{table.replace('_', ' ')}]({address})"


def ranks(produced: Produced, run: StageRun) -> dict[str, int]:
    """Rank of every unsteered, pooled null space by the study's estimator."""
    found = {}
    for rows in produced.rows:
        if rows.table != "null_spaces":
            continue
        kind = rows.extra["kind"]
        named = {str(k): str(name) for k, name in run.study.spectra.estimator.items()}
        chosen = rows.frame.filter(
            pl.col("environment") == "pooled",
            pl.col("at") == "unsteered",
            pl.col("estimator") == named.get(kind, named["fisher"]),  # texts: as next tokens
        )
        for layer, rank in chosen.select("layer", "rank").sort("layer").rows():
            found[f"rank {kind} at {layer}"] = int(rank)
    return found


def declared(stage: Stage) -> dict[str, Any]:
    """Metadata that is known before materialisation: the asset's table and its columns."""
    table = main_table(stage.name)
    return {
        "dagster/table_name": f"steer.main.{table}",
        "dagster/column_schema": column_schema(table),
    }


def of_table(
    layout: Layout, stage: Stage, key: PartitionKey, frame: pl.DataFrame, log: logging.Logger
) -> dict[str, Any]:
    """Counts, columns and their lineage, the first rows and a plot of the main table."""
    table = main_table(stage.name)
    shown = declared(stage) | {
        "dagster/row_count": len(frame),
        "preview": dg.MetadataValue.md(preview(frame)),
    }
    if (made_from := column_lineage(stage)).deps_by_column:
        shown["dagster/column_lineage"] = made_from
    file = layout.thumbnail(stage.name, key)
    try:
        if image := picture(table, frame, file, _served(layout, file)):
            shown["plot"] = dg.MetadataValue.md(image)
    except Exception as error:  # a failed plot must not fail the stage
        log.warning(f"no picture of {table}: {error}")
    return shown


def describe(stage: Stage, run: StageRun, produced: Produced) -> dict[str, Any]:
    """Metadata of a new result: numbers, ranks, the main table, and row counts of other tables."""
    shown: dict[str, Any] = {**produced.metrics, **ranks(produced, run), **produced.metadata}
    if not produced.rows:
        return shown
    main, *others = produced.rows
    shown |= of_table(run.layout, stage, run.key, main.frame, run.log)
    counts: dict[str, int] = {}
    for rows in others:
        counts[rows.table] = counts.get(rows.table, 0) + len(rows.frame)
    for table, n in counts.items():
        shown[f"rows of {table}"] = n
        shown[f"columns of {table}"] = dg.MetadataValue.table_schema(column_schema(table))
    return shown


def reused(layout: Layout, stage: Stage, key: PartitionKey, log: logging.Logger) -> dict[str, Any]:
    """The same metadata for a reused result, since the UI shows only the newest event."""
    path = layout.part(main_table(stage.name), key)
    shown = of_table(layout, stage, key, read_part(path), log) if path.exists() else {}
    return {**shown, "reused": True}


def stored(
    layout: Layout, stage: Stage, key: PartitionKey, record: lineage.Record
) -> dict[str, Any]:
    """Version, study, files, and links."""
    shown: dict[str, Any] = {
        "data_version": record.data_version,
        "study": record.study,
        "path": dg.MetadataValue.path(str(layout.root / record.files[0].path)),
        "files": dg.MetadataValue.json([file.path for file in record.files]),
        "mlflow_run_id": record.mlflow_run_id or "none",
    }
    page = layout.root / "reports" / "index.html"
    if {"model", "trait"} <= key.keys():
        page = layout.pair_file("reports", key["model"], key["trait"], ".html")
    if page.exists() or stage.group == "reports":
        shown["report"] = dg.MetadataValue.url(_served(layout, page))
    return shown


def _served(layout: Layout, page: Path) -> str:
    """The address of a report as `steer serve` shows it; browsers follow no `file://` link.

    `STEER_REPORTS_URL` is the address of that server; the default is the one of `make ui`.
    """
    server = os.environ.get("STEER_REPORTS_URL") or "http://127.0.0.1:3001"
    inside = page.relative_to(layout.root / "reports").as_posix()
    return f"{server.rstrip('/')}/{quote(inside)}"


def tracking_link(experiment_id: str, run_id: str, artifact: str = "") -> dict[str, Any]:
    """Link to a run in the MLflow UI, or to one of its files; empty if tracking is off.

    `STEER_MLFLOW_URL` is the address of that UI; the default is the address of `make mlflow`.
    """
    if not (experiment_id and run_id):
        return {}
    server = os.environ.get("STEER_MLFLOW_URL") or "http://127.0.0.1:5000"
    address = f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"
    links = {"mlflow": dg.MetadataValue.url(address)}
    if artifact:
        links["report in mlflow"] = dg.MetadataValue.url(f"{address}/artifacts/{quote(artifact)}")
    return links
