"""Expected inputs of each artifact: the basis of freshness, staleness and reuse."""

from collections.abc import Iterator

import polars as pl

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.studies import Study
from steer_assets.pipeline import chat_template, working_point
from steer_assets.pipeline.design import two_traits
from steer_assets.pipeline.stage import Stage, registered
from steer_assets.storage.files.parquet import DamagedFileError
from steer_assets.storage.layout import Layout, PartitionKey, partition_name
from steer_assets.storage.lineage import (
    TABLE,
    Freshness,
    InputVersion,
    Record,
    changes,
    damaged_files,
    freshness,
    read_record,
)

#: Data version of an input that was never materialised.
MISSING = "missing"


def materialised(layout: Layout, stage: Stage) -> Iterator[PartitionKey]:
    """Partitions of a stage that have a record, in a fixed order."""
    for part in layout.parts(TABLE, {"asset_key": stage.name}):
        yield {name: part.key[name] for name in stage.dimensions}


def _project(layout: Layout, upstream: Stage, key: PartitionKey) -> list[PartitionKey]:
    """The partitions of `upstream` from which an artifact at `key` is made."""
    if set(upstream.dimensions) <= set(key):
        return [{name: key[name] for name in upstream.dimensions}]
    return list(materialised(layout, upstream))  # a summary reads every existing partition


def record_of(layout: Layout, stage: Stage, key: PartitionKey) -> Record | None:
    """The newest record of an artifact; None if no readable record exists."""
    try:
        return read_record(layout, stage.name, key)
    except DamagedFileError:
        return None  # an artifact without a record counts as missing


def input_records(
    layout: Layout, stage: Stage, key: PartitionKey
) -> Iterator[tuple[Stage, PartitionKey, Record | None]]:
    """Every asset partition that a stage reads, with its newest record."""
    for name in stage.needs:
        upstream = registered()[name]
        for upstream_key in _project(layout, upstream, key):
            yield upstream, upstream_key, record_of(layout, upstream, upstream_key)


def expected_inputs(
    layout: Layout, stage: Stage, key: PartitionKey, study: Study
) -> list[InputVersion]:
    """What the artifact would be made from now."""
    inputs = [
        *stage.outside_inputs(key, study),
        *chat_template.inputs(layout, stage, key, study),
        *working_point.inputs(layout, stage, key, study),
        *two_traits.inputs(layout, stage.name, key, study),
    ]
    for upstream, upstream_key, record in input_records(layout, stage, key):
        version = record.data_version if record else MISSING
        inputs.append(InputVersion(upstream.name, partition_name(upstream_key), version))
    return inputs


def check(layout: Layout, stage: Stage, key: PartitionKey, study: Study) -> Freshness:
    """Whether the stored artifact is the one that `stage` would make now, and if not, why."""
    return freshness(layout, stage.name, key, expected_inputs(layout, stage, key, study))


def stale_upstream(layout: Layout, stage: Stage, key: PartitionKey, study: Study) -> list[str]:
    """Sentences on upstream artifacts whose inputs have changed since they were made.

    Compares versions only and reads no files. A summary accepts every partition under that
    partition's own study, so it has no stale upstream artifacts.
    """
    found: dict[tuple[str, str], str] = {}

    def visit(current: Stage) -> None:
        for upstream, upstream_key, record in input_records(layout, current, key):
            name = (upstream.name, partition_name(upstream_key))
            if name in found or record is None:
                continue
            found[name] = ""
            changed = changes(
                record.inputs, frozenset(expected_inputs(layout, upstream, upstream_key, study))
            )
            found[name] = f"{' of '.join(name)} ({', '.join(changed)})" if changed else ""
            visit(upstream)

    if stage.dimensions:
        visit(stage)
    return [words for words in found.values() if words]


def _study_of(record: Record) -> Study | None:
    try:
        return catalog.study(record.study)
    except CatalogError:
        return None


def expected_frame(layout: Layout) -> pl.DataFrame:
    """The table `expected_inputs`: each materialised artifact under current catalog and code.

    Each artifact is compared under the study that made it. An unreadable source counts as removed.
    """
    rows: list[tuple[str, str, str, str, str, str]] = []
    for stage in registered().values():
        for key in materialised(layout, stage):
            record = record_of(layout, stage, key)
            study = _study_of(record) if record else None
            if record is None or study is None:
                continue
            try:
                inputs = expected_inputs(layout, stage, key, study)
            except CatalogError:
                inputs = [InputVersion("catalog", "gone", MISSING)]
            problems = damaged_files(layout, record, all_read=False)
            for source in inputs:
                rows.append(
                    (
                        stage.name,
                        record.partition,
                        source.asset_key,
                        source.partition,
                        source.data_version,
                        problems[0] if problems else "",
                    )
                )
    names = ["asset_key", "partition", "input_asset_key", "input_partition"]
    schema = dict.fromkeys([*names, "input_data_version", "problem"], pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


def materialised_inputs(layout: Layout, stage: Stage, key: PartitionKey) -> list[Record]:
    """Newest records of everything a stage reads."""
    return [record for _, _, record in input_records(layout, stage, key) if record is not None]


def check_own_study(layout: Layout, stage: Stage, key: PartitionKey, fallback: Study) -> Freshness:
    """Whether an artifact is up to date under the study that made it."""
    record = record_of(layout, stage, key)
    return check(layout, stage, key, (_study_of(record) if record else None) or fallback)


def stale_frame(layout: Layout) -> pl.DataFrame:
    """Partitioned artifacts that are out of date under their own study, with the reasons."""
    rows = []
    for stage in registered().values():
        for key in materialised(layout, stage) if stage.dimensions else ():
            record = record_of(layout, stage, key)
            study = _study_of(record) if record else None
            if study is None:
                rows.append((stage.name, partition_name(key), "its study is gone"))
            elif not (status := check(layout, stage, key, study)).fresh:
                rows.append((stage.name, partition_name(key), "; ".join(status.reasons)))
    schema = {"asset": pl.String, "partition": pl.String, "why": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
