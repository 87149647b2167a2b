"""Hosts with artifacts of one small table, for tests of the depot alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from steer_assets.storage import lineage
from steer_assets.storage.depot.depot import Committed, Depot
from steer_assets.storage.depot.mirror import Arrived, Mirror
from steer_assets.storage.depot.records import Artifact
from steer_assets.storage.files.atomic import write_text
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import InputVersion, Record
from tests.storage import synthetic

ASSET = "null_spaces"
KEY = {"model": "toy", "trait": "formality"}
ARTIFACT = Artifact.of(ASSET, KEY)
CODE = InputVersion("code", ASSET, "1")


@dataclass
class Writer:
    """A host with its own data folder."""

    depot: Depot
    layout: Layout

    @property
    def mirror(self) -> Mirror:
        return Mirror(self.depot, self.layout)

    def make(
        self,
        run_id: str,
        *inputs: InputVersion,
        seen: int = 0,
        key: dict[str, str] = KEY,
        mib: int = 0,
    ) -> Committed:
        """Write a table part and a file of this run, larger by `mib`, and commit both."""
        artifact = Artifact.of(ASSET, key)
        part = synthetic.write(self.layout, ASSET, key, {"run_id": run_id})
        file = f"bases/{key['model']}/{key['trait']}.h5"
        write_text(self.layout.root / file, f"bases of {run_id}" + "x" * (mib << 20))
        stood: list[Committed] = []

        def commit(record: Record) -> Record:
            stood.append(self.depot.commit(self.layout.root, artifact, record, seen=seen))
            return stood[0].record

        lineage.write_record(
            self.layout,
            asset_key=ASSET,
            key=key,
            data_version="v",
            inputs=inputs or [CODE],
            files=[lineage.describe_file(self.layout, path) for path in (part, file)],
            study="quick",
            code_version="1",
            run_id=run_id,
            mlflow_run_id="",
            commit=commit,
        )
        return stood[0]

    def bring(self) -> Arrived:
        """Bring everything of the artifact."""
        return self.mirror.bring(ARTIFACT, lambda _: True)

    @property
    def file(self) -> Path:
        return self.layout.root / "bases" / "toy" / "formality.h5"

    @property
    def record(self) -> Record | None:
        """The newest record that the local lineage has."""
        return lineage.read_record(self.layout, ASSET, KEY)
