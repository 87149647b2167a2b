"""Finished pieces of a long stage, from which a killed run resumes.

Pieces are stored under `partial/<stage>/<partition>/<fingerprint of inputs>/` and removed when the
stage is done. A different fingerprint means a different computation, so its pieces are not reused.
Damaged pieces are computed again. With a depot, pieces are shared by all hosts.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from steer_assets.storage.depot.depot import Depot
from steer_assets.storage.depot.pieces import SharedPieces
from steer_assets.storage.files.atomic import sweep_temporaries, write_text
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.files.hdf5 import read_arrays, write_arrays
from steer_assets.storage.files.parquet import DamagedFileError
from steer_assets.storage.layout import Layout, PartitionKey, partition_name
from steer_assets.storage.slugs import validate_slug


def partial_folder(layout: Layout, stage: str, key: PartitionKey) -> Path:
    """Folder of the pieces of one stage and partition, for all fingerprints."""
    folder = layout.root / "partial" / stage
    for dimension, value in key.items():
        folder /= f"{dimension}={validate_slug(value, dimension)}"
    return folder if key else folder / partition_name(key)


class Shards:
    """Pieces of one computation; reading a missing or damaged piece returns None."""

    def __init__(
        self,
        layout: Layout,
        stage: str,
        key: PartitionKey,
        fingerprint: str,
        depot: Depot | None = None,
    ) -> None:
        self._all = partial_folder(layout, stage, key)
        self._folder = self._all / fingerprint[:24]
        self._shared = SharedPieces(depot, layout.relative(self._folder)) if depot else None

    def begin(self) -> None:
        """Remove pieces of other fingerprints, and temporary files of dead writers."""
        for other in self._all.iterdir() if self._all.is_dir() else ():
            if other != self._folder:
                shutil.rmtree(other, ignore_errors=True)
        sweep_temporaries(self._folder)

    def clear(self) -> None:
        """Remove all pieces, when the stage is done."""
        if self._shared is not None:
            self._shared.clear()
        shutil.rmtree(self._all, ignore_errors=True)
        for parent in self._all.parents[:2]:
            if parent.name != "partial" and parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """Named arrays of one piece."""
        try:
            return read_arrays(self._taken(f"{name}.h5"))
        except (FileNotFoundError, DamagedFileError):
            return None

    def put_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store named arrays as one piece."""
        path = self._folder / f"{name}.h5"
        write_arrays(path, arrays)
        if self._shared is not None:
            self._shared.give(path)

    def records(self, name: str) -> Any | None:
        """JSON-like value of one piece."""
        try:
            digest, _, text = self._taken(f"{name}.json").read_text("utf-8").partition("\n")
            value = json.loads(text)
        except (OSError, ValueError):
            return None
        return value if hash_json(value) == digest else None

    def put_records(self, name: str, value: Any) -> None:
        """Store a JSON-like value as one piece."""
        text = json.dumps(value, ensure_ascii=False)
        path = self._folder / f"{name}.json"
        write_text(path, f"{hash_json(json.loads(text))}\n{text}")
        if self._shared is not None:
            self._shared.give(path)

    def _taken(self, name: str) -> Path:
        """The path of a piece, which is brought if another host made it."""
        path = self._folder / name
        if self._shared is not None and not path.exists():
            self._shared.take(path)
        return path
