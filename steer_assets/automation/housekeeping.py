"""Removal of unreferenced files, of tracking pages of deleted runs, and of old Dagster runs.

Dagster has retention settings for ticks, but none for runs and their events. Old runs are removed
here, except those that made the newest materialisation of a partition, so the UI still shows every
partition and automation conditions do not change.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.events import DagsterEventType

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.lm.loading.sources import parts_of
from steer_assets.pipeline.orphaned_runs import close_orphaned_runs
from steer_assets.resources.tracking import known_runs
from steer_assets.storage import garbage
from steer_assets.storage.garbage import Waste
from steer_assets.storage.layout import Layout

_RUN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TRACKED = re.compile(r"[0-9a-f]{32}")
_PARTITION_TAGS = ("dagster/partition/model", "dagster/partition/trait", "dagster/partition")
_AT_ONCE = 500
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class OldRun:
    """A finished Dagster run that made no partition's newest materialisation."""

    run_id: str
    files: tuple[Path, ...]
    bytes: int
    why: str


def _busy(instance: dg.DagsterInstance) -> garbage.Busy:
    """Paths that a run in progress may use: all that contain the name of its partition."""
    waiting = [status for status in dg.DagsterRunStatus if status not in _FINISHED]
    names: set[str] = set()
    everything = False
    for run in instance.get_runs(dg.RunsFilter(statuses=waiting)):
        values = {run.tags[tag] for tag in _PARTITION_TAGS if tag in run.tags}
        names |= values - {value for value in values if "|" in value}
        everything |= not values  # a summary, or a range of partitions

    def busy(path: str) -> bool:
        parts = path.split("/")
        return everything or any(
            part == name or part.endswith(f"={name}") or part.startswith((f"{name}.", f".{name}."))
            for part in parts
            for name in names
        )

    return busy


_FINISHED = (
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
)


def _sources() -> list[Path]:
    """Local model sources of the catalog.

    Raises:
        CatalogError: a model's file cannot be read, so its source is unknown.
    """
    sources = [catalog.model_entry(name).source for name in catalog.model_names()]
    return [
        part.resolve()
        for source in sources
        if source.kind in ("folder", "gguf")
        for part in parts_of(Path(source.location).expanduser())
    ]


def files(layout: Layout, instance: dg.DagsterInstance) -> list[Waste]:
    """Files of the data folder that are neither referenced nor in use by a run.

    Raises:
        DamagedFileError, CatalogError: a lineage record or catalog file is unreadable, so its
        references are unknown.
    """
    close_orphaned_runs(instance)  # so that dead runs do not mark files as in use
    dimensions = {stage.name: stage.dimensions for stage in STAGES.values()}
    traits = catalog.trait_keys()
    found = garbage.find(layout, dimensions, _sources(), _busy(instance), traits)
    return found + list(_untracked(layout))


def _untracked(layout: Layout) -> Iterator[Waste]:
    """Folders of artifacts whose MLflow run was deleted or never written."""
    known, folder = known_runs(layout.tracking_database), layout.root / "mlruns"
    if known is None or folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if not _TRACKED.fullmatch(path.name) or path.is_symlink() or path.name in known:
            continue
        inside = [p.lstat() for p in path.rglob("*")]
        newest = max((s.st_ctime for s in inside), default=path.lstat().st_ctime)
        if newest < time.time() - garbage.SETTLED_S:
            yield Waste(path, sum(s.st_size for s in inside), "its MLflow run is gone", newest)


def _newest(instance: dg.DagsterInstance) -> set[str]:
    """Runs that made the newest materialisation of any partition."""
    storage, kept = instance.event_log_storage, set()
    for stage in STAGES.values():
        key = dg.AssetKey(stage.name)
        by_partition = storage.get_latest_storage_id_by_partition(
            key, DagsterEventType.ASSET_MATERIALIZATION
        )
        ids = list(by_partition.values())
        for start in range(0, len(ids), _AT_ONCE):
            some = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + _AT_ONCE])
            found = instance.fetch_materializations(some, limit=_AT_ONCE)
            kept |= {record.run_id for record in found.records}
        latest = instance.get_latest_materialization_event(key)
        kept |= {latest.run_id} if latest else set()
    return kept


def _traces(instance: dg.DagsterInstance, run_id: str) -> tuple[Path, ...]:
    """Files of one run: its logs, and its own event database."""
    logs = Path(instance.storage_directory())
    events = logs.parent / "history" / "runs"
    found = [logs / run_id, *(events / f"{run_id}.db{end}" for end in ("", "-wal", "-shm"))]
    return tuple(path for path in found if path.exists() and not path.is_symlink())


def _size(paths: tuple[Path, ...]) -> int:
    every = [p for path in paths for p in (path, *path.rglob("*")) if p.is_file()]
    return sum(path.lstat().st_size for path in every)


def old_runs(instance: dg.DagsterInstance, older_than_days: float) -> list[OldRun]:
    """Runs that ended at least so many days ago, and files of runs that no longer exist."""
    found = []
    kept = _newest(instance)
    until = time.time() - older_than_days * _DAY_S
    known = set()
    for record in instance.get_run_records():
        run = record.dagster_run
        known.add(run.run_id)
        ended = record.end_time or record.update_timestamp.timestamp()
        if run.status in _FINISHED and run.run_id not in kept and ended < until:
            paths = _traces(instance, run.run_id)
            why = f"run ended {(time.time() - ended) / _DAY_S:.0f} days ago"
            found.append(OldRun(run.run_id, paths, _size(paths), why))
    logs = Path(instance.storage_directory())
    places = [*logs.glob("*"), *(logs.parent / "history" / "runs").glob("*.db")]
    for run_id in sorted({path.stem for path in places} - known):
        paths = _traces(instance, run_id) if _RUN_ID.fullmatch(run_id) else ()
        if paths and max(path.lstat().st_ctime for path in paths) < time.time() - garbage.SETTLED_S:
            found.append(OldRun(run_id, paths, _size(paths), "run is gone"))
    return found


def remove_run(instance: dg.DagsterInstance, old: OldRun) -> None:
    """Remove a run with its events and logs."""
    instance.delete_run(old.run_id)
    for path in _traces(instance, old.run_id):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
