"""Stages and a depot: what a stage reads is brought to this host, what it makes goes to the depot.

Without `STEER_DEPOT` nothing here does anything. With it, the depot has every artifact before the
local lineage has it, and a host needs only the files that its stages read: tables and pages of
everything upstream, the other files (weights, activations, bases) of direct inputs.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath

from steer_assets.pipeline import freshness
from steer_assets.pipeline.conditions import holds_language_model
from steer_assets.pipeline.stage import Stage, registered
from steer_assets.storage import lineage
from steer_assets.storage.depot import news
from steer_assets.storage.depot.depot import Depot, configured
from steer_assets.storage.depot.mirror import Arrived, Mirror
from steer_assets.storage.depot.records import Artifact
from steer_assets.storage.layout import Layout, PartitionKey
from steer_assets.storage.lineage import Record, StoredFile

_log = logging.getLogger(__name__)
_TEMPLATES = (".jinja", "tokenizer_config.json")


def is_asked(file: StoredFile) -> bool:
    """Whether questions need a file: tables, pages, and the templates that freshness reads."""
    room, *_ = PurePosixPath(file.path).parts
    return room in ("tables", "reports") or (room == "models" and file.path.endswith(_TEMPLATES))


def is_light(file: StoredFile) -> bool:
    """Whether every stage downstream gets a file: what is asked, and models without weights."""
    return is_asked(file) or (file.path.startswith("models/") and not _are_weights(file))


def _are_weights(file: StoredFile) -> bool:
    return file.path.startswith("models/") and file.path.endswith(".safetensors")


def _above(stage: Stage) -> list[Stage]:
    """Stages on whose records the freshness of a stage depends, without itself.

    A summary accepts every partition as it is, so nothing above these counts.
    """
    found: dict[str, Stage] = {}
    ahead = [*stage.needs, *stage.after]
    while ahead:
        upstream = registered()[ahead.pop()]
        if upstream.name not in found:
            found[upstream.name] = upstream
            if stage.dimensions or not upstream.dimensions:
                ahead += [*upstream.needs, *upstream.after]
    return list(found.values())


@dataclass
class Carrier:
    """Carries one partition of one stage between this host and the depot."""

    depot: Depot
    layout: Layout
    stage: Stage
    key: PartitionKey
    #: Newest number of the artifact's own records before anything was computed.
    seen: int = 0
    _arrived: dict[Artifact, Arrived] = field(default_factory=dict)

    @property
    def artifact(self) -> Artifact:
        """The artifact of the stage at its partition."""
        return Artifact.of(self.stage.name, self.key)

    def bring_own(self) -> None:
        """Bring the artifact's own records, without files."""
        arrived = Mirror(self.depot, self.layout).bring(self.artifact, lambda _: False)
        self._arrived[self.artifact], self.seen = arrived, arrived.number

    def bring_records(self) -> None:
        """Bring the records on which freshness depends, with light files."""
        if not self.stage.dimensions:  # a summary reads every partition, of which few are new
            news.catch_up(self.depot, self.layout, is_asked)
        mirror = Mirror(self.depot, self.layout)
        asked = [self.artifact, *self._upstream(_above(self.stage))]
        self._arrived = mirror.bring_all(asked, is_light)
        self.seen = self._arrived[self.artifact].number

    def _upstream(self, stages: Iterable[Stage]) -> list[Artifact]:
        """Artifacts of these stages at this partition."""
        return [
            Artifact.of(stage.name, {name: self.key[name] for name in stage.dimensions})
            for stage in stages
            if set(stage.dimensions) <= set(self.key)
        ]

    def bring_inputs(self) -> None:
        """Bring all files of direct inputs; of a summary, light ones."""
        if not self.stage.dimensions:
            return
        direct = self._upstream(registered()[name] for name in self.stage.needs)
        weights = holds_language_model(self.stage)
        Mirror(self.depot, self.layout).bring_all(
            direct, lambda file: weights or not _are_weights(file)
        )

    def bring_for_check(self, *, weights: bool) -> None:
        """Bring what a check of the artifact may read: its own files, and those of its inputs."""
        direct = self._upstream(registered()[name] for name in self.stage.needs)
        own = Mirror(self.depot, self.layout).bring(self.artifact, lambda _: True)
        if own.number and self.stage.dimensions:
            Mirror(self.depot, self.layout).bring_all(
                direct, lambda file: weights or not _are_weights(file)
            )

    def is_settled(self, log: logging.Logger) -> bool:
        """Whether every file of the artifact is here or in the depot, by `settle`."""
        problems = self.settle()
        for problem in problems:
            log.warning(problem)
        return not problems

    def settle(self) -> list[str]:
        """Store again what the depot has lost of an artifact, or never had.

        Returns sentences on files that neither this host nor the depot has.
        """
        record = freshness.record_of(self.layout, self.stage, self.key)
        arrived = self._arrived[self.artifact].record
        if record is None or not record.files:
            return []
        mirror, gone = Mirror(self.depot, self.layout), []
        for file in record.files:
            if not self.depot.holds(file):
                if mirror.has(file):
                    self.depot.put_file(self.layout.root / file.path, file)
                else:
                    gone.append(f"{file.path} is neither here nor in the depot")
        if not gone and (arrived is None or arrived.created_at < record.created_at):
            self._publish()
        return gone

    def _publish(self) -> None:
        """Append records that were made before there was a depot, in their order."""
        arrived = self._arrived[self.artifact]
        before = arrived.record.created_at if arrived.record else datetime.min
        number = arrived.number
        for record in lineage.history(self.layout, self.stage.name, self.key):
            if record.created_at > before:
                if not self.depot.append(self.artifact, record, number):
                    return  # another host does the same
                number += 1

    def commit(self, record: Record) -> Record:
        """Store what was made; the record that stands, whose files are then here.

        It is another writer's, where that was first with the same inputs.
        """
        stands = self.depot.commit(self.layout.root, self.artifact, record, seen=self.seen).record
        if stands.run_id != record.run_id:
            _log.info(f"{self.stage.name} was committed by run {stands.run_id} before")
            mirror = Mirror(self.depot, self.layout)
            for file in stands.files:
                if not mirror.has(file):
                    mirror.fetch(file, stands)
        return stands


def carrier(layout: Layout, stage: Stage, key: PartitionKey) -> Carrier | None:
    """What carries the partition; None without a depot."""
    depot = configured()
    return Carrier(depot, layout, stage, key) if depot else None


def lost(layout: Layout, record: Record) -> list[str]:
    """Paths of a record whose files are neither here nor in the depot."""
    depot = configured()
    absent = [file for file in record.files if not (layout.root / file.path).exists()]
    return [file.path for file in absent if depot is None or not depot.holds(file)]


def bring_partition(layout: Layout, dimensions: tuple[str, ...], key: PartitionKey) -> None:
    """Bring the records of one partition, with light files, so that what is due is known."""
    if depot := configured():
        stages = [s for s in registered().values() if s.dimensions == dimensions]
        artifacts = [Artifact.of(stage.name, key) for stage in stages]
        Mirror(depot, layout).bring_all(artifacts, is_light)


def catch_up(layout: Layout, *, all_records: bool = False) -> None:
    """Bring what is new in the depot for questions: records, tables, pages.

    With `all_records`, also what was brought before and is not here as it was any more.
    """
    if depot := configured():
        if all_records:
            news.forget(layout)
        news.catch_up(depot, layout, is_asked)


def push(layout: Layout) -> list[str]:
    """Store what this host has and the depot lacks; sentences on what neither has whole."""
    problems: list[str] = []
    if depot := configured():
        for stage in registered().values():
            for key in freshness.materialised(layout, stage):
                one = Carrier(depot, layout, stage, key)
                one.bring_own()
                problems += one.settle()
    return problems


def retire(model: str = "", assets: Collection[str] = ()) -> None:
    """End all artifacts of a model, or the unpartitioned ones of some assets, on every host."""
    if depot := configured():
        for artifact in depot.artifacts():
            if artifact.model == model and (model or artifact.asset in assets):
                depot.retire(artifact)
