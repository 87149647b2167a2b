"""Paths of all stored files under the data folder (SPEC: one obvious place for everything)."""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from steer_assets.storage.slugs import validate_slug

_PART = "part.parquet"
#: Folders of the data folder in which stages write files of a model, beside its tables.
MODEL_ROOMS = ("models", "activations", "moments", "bases", "vectors", "protocols", "reports")
#: A partition of an asset: values of those of the dimensions `model` and `trait` that it has.
PartitionKey = dict[str, str]


def partition_name(key: PartitionKey) -> str:
    """Name of a partition in lineage: `model|trait`, one of them, or `all`."""
    return "|".join(key[dimension] for dimension in ("model", "trait") if dimension in key) or "all"


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet part: its table, the partition values in its path, and the path.

    `name` is the path relative to the data folder.
    """

    table: str
    key: PartitionKey
    path: Path
    name: str


class Layout:
    """Paths under one data folder. Keys are validated before they become part of a path."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.root / "steer.duckdb"

    @property
    def tracking_database(self) -> Path:
        """The MLflow store."""
        return self.root / "mlflow.db"

    def model(self, model: str) -> Path:
        """Folder of a converted model."""
        return self.root / "models" / validate_slug(model, "model")

    def pair_file(self, room: str, model: str, trait: str, suffix: str) -> Path:
        """`<room>/<model>/<trait><suffix>`, as in `activations/.../formality.h5`."""
        folder = self.root / room / validate_slug(model, "model")
        return folder / f"{validate_slug(trait, 'trait')}{suffix}"

    def thumbnail(self, stage: str, key: PartitionKey) -> Path:
        """Plot of a stage's table for the UI, among the reports, which a server shows."""
        folder = self.root / "reports"
        for dimension, value in key.items():
            folder /= validate_slug(value, dimension)
        return folder / "thumbnails" / f"{stage}.png"

    def head(self, trait: str) -> Path:
        """Fitted head of the embedded encoder."""
        return self.root / "scorers" / f"{validate_slug(trait, 'trait')}.safetensors"

    def part(self, table: str, key: PartitionKey) -> Path:
        """Path of one Parquet part; the dimensions of `key` become folders, in its order."""
        folder = self.root / "tables" / table
        for dimension, value in key.items():
            folder /= f"{dimension}={validate_slug(value, dimension)}"
        return folder / _PART

    def part_at(self, path: str) -> Part:
        """The part at a path relative to the data folder.

        Folder names are not validated here; the code that loads the part validates them.
        """
        table, *folders = [*path.split("/")[1:-1], ""]
        named = [folder.partition("=") for folder in folders if folder]
        return Part(table, {name: value for name, _, value in named}, self.root / path, path)

    def parts(self, table: str = "", key: PartitionKey | None = None) -> Iterator[Part]:
        """Every Parquet part that exists, in a fixed order.

        Restricted to one table, or to parts whose first dimensions equal `key`, if given: listing a
        folder of many models takes longer than reading a part.
        """
        folder = self.part(table, key or {}).parent if table else self.root / "tables"
        for path in sorted(name for name, _ in self._walk(folder)):
            yield self.part_at(path)

    def stamps(self, names: Collection[str] | None = None) -> dict[str, os.stat_result]:
        """File status of every part, or of those of `names` that exist, by name."""
        if names is None:
            found = [(name, entry.stat()) for name, entry in self._walk(self.root / "tables")]
            return dict(sorted(found))
        status = {}
        for name in sorted(names):
            with suppress(FileNotFoundError, NotADirectoryError):
                status[name] = os.stat(f"{self.root}/{name}")  # noqa: PTH116 - as in `_walk`
        return status

    def _walk(self, folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
        # Strings, because a full sync walks over all parts and Path objects would cost more than
        # the walk.
        cut, waiting = len(str(self.root)) + 1, [str(folder)] if folder.is_dir() else []
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.name == _PART:
                        yield entry.path[cut:], entry
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)

    def relative(self, path: Path) -> str:
        """`path` relative to the data folder, which makes tables independent of the machine."""
        return path.relative_to(self.root).as_posix()
