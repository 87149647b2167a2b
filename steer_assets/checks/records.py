"""Checks of lineage, of the warehouse, and of repeated computations."""

import dagster as dg
import polars as pl

from steer_assets.assets import STAGES
from steer_assets.checks.harness import Finding, check
from steer_assets.pipeline import freshness
from steer_assets.pipeline.depot import carrying
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.database import warehouse
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.layout import partition_name
from steer_assets.storage.lineage import TABLE


@check("equivalence_reports", blocking=True)
def lineage_is_complete(stored: StageRun) -> Finding:
    """Traces the verdict back to prompts, model, code and seed, by the versions that were read."""
    report = STAGES["equivalence_reports"]
    walked: set[str] = set()
    ahead = [(report, stored.key)]
    while ahead:
        stage, key = ahead.pop()
        record = freshness.record_of(stored.layout, stage, key)
        name = f"{stage.name} {partition_name(key)}"
        if record is None:
            return Finding(False, f"{name} has no lineage")
        if not any(source.asset_key == "code" for source in record.inputs):
            return Finding(False, f"the lineage of {name} does not name its code version")
        if gone := carrying.lost(stored.layout, record):
            return Finding(False, f"{gone[0]} of {name} is missing")
        named = {(s.asset_key, s.partition): s.data_version for s in record.inputs}
        for upstream, upstream_key, there in freshness.input_records(stored.layout, stage, key):
            source = (upstream.name, partition_name(upstream_key))
            if source not in named:
                return Finding(False, f"the lineage of {name} does not name {' '.join(source)}")
            if there is None or there.data_version != named[source]:
                return Finding(False, f"{name} was made from another {' '.join(source)}")
            if " ".join(source) not in walked:
                walked.add(" ".join(source))
                ahead.append((upstream, upstream_key))
        walked.add(name)
    seeded = freshness.record_of(stored.layout, STAGES["generations"], stored.key)
    if seeded is None or not any(s.asset_key == "study" for s in seeded.inputs):
        return Finding(False, "the lineage of generations names no setting of the study")
    return Finding(True, f"{len(walked)} artifacts, back to prompts and weights")


def _differing_part(stored: StageRun) -> tuple[str, int, int]:
    """What is wrong with the first loaded part that differs, or nothing; parts and rows compared.

    The database is opened once, because opening it takes longer than reading a part.
    """
    compared = n_rows = 0
    with warehouse.connect(stored.layout.database, read_only=True) as connection:
        for part in stored.layout.parts():
            own = all(part.key.get(name) == value for name, value in stored.key.items())
            if not own or part.table == TABLE:
                continue
            written = read_part(part.path)
            loaded = warehouse.part_rows(connection, part.table, part.key)
            if written.columns != loaded.columns or len(written) != len(loaded):
                words = f"{part.table} has {len(loaded)} rows, Parquet {len(written)}"
                return words, compared, n_rows
            by = written.columns
            if not written.sort(by).equals(loaded.cast(written.schema).sort(by)):
                words = f"{part.table} differs from its Parquet; `steer db rebuild`"
                return words, compared, n_rows
            compared, n_rows = compared + 1, n_rows + len(written)
    return "", compared, n_rows


@check("equivalence_reports")
def warehouse_equals_parquet(stored: StageRun) -> Finding:
    """The rows of this partition in DuckDB equal those in Parquet."""
    try:
        wrong, compared, n_rows = _differing_part(stored)
    except (warehouse.WarehouseBusyError, warehouse.WarehouseDamagedError) as error:
        return Finding(False, f"not compared: {error}")
    if wrong:
        return Finding(False, wrong)
    return Finding(True, f"{compared} parts, {n_rows} rows, the same in both", {"rows": n_rows})


def _again(stored: StageRun, stage: str) -> Finding:
    path = stored.layout.part(TABLE, {"asset_key": stage, **stored.key})
    made = (
        read_part(path)
        .select(
            "created_at",
            "data_version",
            pl.concat_str(
                ["input_asset_key", "input_partition", "input_data_version"], separator="\x1f"
            ).alias("source"),
        )
        .group_by("created_at", "data_version")
        .agg(pl.col("source").unique().sort().str.join("\x1e"))
        .sort("created_at")
    )
    newest = made.row(-1, named=True)
    before = made.head(-1).filter(pl.col("source") == newest["source"])
    if before.is_empty():
        return Finding(True, "computed once from these inputs")
    others = before.filter(pl.col("data_version") != newest["data_version"])
    if len(others):
        when = others.item(-1, "created_at")
        return Finding(
            False,
            f"from the same inputs {others.item(-1, 'data_version')[:12]} was computed on {when}, "
            f"now {newest['data_version'][:12]}",
        )
    return Finding(True, f"computed {1 + len(before)} times from these inputs, always the same")


def _reproducible(stage: str) -> dg.AssetChecksDefinition:
    @check(stage)
    def computed_again_the_same(stored: StageRun) -> Finding:
        """All computations from the same inputs gave the same content."""
        return _again(stored, stage)

    return computed_again_the_same


@check("changes_since_last")
def history_ends_with_the_summary(stored: StageRun) -> Finding:
    """The newest verdicts of the history are those of the summary."""
    names = ["model", "trait", "protocol", "scorer", "layer", "verdict"]
    history = stored.rows("verdict_history")
    newest = history.filter(pl.col("seen_at") == pl.col("seen_at").max().over("model", "trait"))
    summary = set(stored.rows("identifiability_summary").select(names).iter_rows())
    if missing := sorted(summary - set(newest.select(names).iter_rows())):
        return Finding(False, f"{len(missing)} verdicts are not in the history, {missing[0]} first")
    return Finding(True, f"{len(history)} rows, {len(summary)} of them newest")


CHECKS = [
    history_ends_with_the_summary,
    lineage_is_complete,
    warehouse_equals_parquet,
    *(_reproducible(stage) for stage in STAGES),
]
