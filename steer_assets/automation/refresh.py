"""Runs needed to bring stored partitions up to date, each under its own study."""

from collections.abc import Iterator
from dataclasses import dataclass

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.studies import Study
from steer_assets.pipeline import freshness
from steer_assets.pipeline.stage import Stage
from steer_assets.storage.layout import Layout, PartitionKey


@dataclass(frozen=True, slots=True)
class Due:
    """One partition, its study, and the stages to run in it."""

    key: PartitionKey
    study: str
    stages: list[str]


def stages_of(dimensions: tuple[str, ...]) -> list[Stage]:
    """Stages of one partition definition, in pipeline order."""
    return [stage for stage in STAGES.values() if stage.dimensions == dimensions]


def selection(
    layout: Layout,
    dimensions: tuple[str, ...],
    key: PartitionKey,
    study: Study,
    *,
    force: bool = False,
) -> list[str]:
    """Stages to run: outdated ones, and those downstream of them in the same partition."""
    chosen: list[str] = []
    for stage in stages_of(dimensions):
        upstream = (*stage.needs, *stage.after) if study.automatic else stage.needs
        downstream = any(name in chosen for name in upstream)
        if force or downstream or not freshness.check(layout, stage, key, study).fresh:
            chosen.append(stage.name)
    return chosen


def stored_partitions(
    layout: Layout, dimensions: tuple[str, ...]
) -> Iterator[tuple[PartitionKey, Study]]:
    """Partitions with stored results, with the study of their furthest stage.

    A partition whose study is no longer in the catalog is left out, because its expected inputs are
    undefined.
    """
    found: dict[tuple[str, ...], tuple[PartitionKey, str]] = {}
    for stage in stages_of(dimensions):
        for key in freshness.materialised(layout, stage):
            if record := freshness.record_of(layout, stage, key):
                found[tuple(key.values())] = (key, record.study)
    for key, name in found.values():
        try:
            yield key, catalog.study(name)
        except CatalogError:
            continue


def due(layout: Layout, dimensions: tuple[str, ...]) -> Iterator[Due]:
    """Stored partitions that are out of date, or upstream of a partition that is."""
    for key, study in stored_partitions(layout, dimensions):
        try:
            stages = selection(layout, dimensions, key, study)
            behind = any(
                freshness.stale_upstream(layout, stage, key, study)
                for stage in stages_of(dimensions)
            )
        except CatalogError:
            continue  # its trait or model is no longer in the catalog
        if behind and not stages:
            stages = [stage.name for stage in stages_of(dimensions)]
        if stages:
            yield Due(key, study.study, stages)
