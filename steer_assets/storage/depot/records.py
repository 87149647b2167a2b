"""Lineage records as objects: JSON behind a digest of it, under a number within their artifact.

What a record says is checked before it is used: its paths become paths of this host.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from steer_assets.storage.depot.objects import DamagedObjectError
from steer_assets.storage.layout import MODEL_ROOMS, PartitionKey, partition_name
from steer_assets.storage.lineage import InputVersion, Record, StoredFile
from steer_assets.storage.slugs import is_slug

#: Rooms of the data folder in which stages write their files.
ROOMS = ("tables", *MODEL_ROOMS)
_NONE = "_"
_ASSET = re.compile(r"[a-z][a-z0-9_]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIMENSIONS = ("model", "trait")


@dataclass(frozen=True, slots=True)
class Artifact:
    """An asset partition: the asset, its model and its trait, empty where it has none."""

    asset: str
    model: str = ""
    trait: str = ""

    @classmethod
    def of(cls, asset: str, key: PartitionKey) -> "Artifact":
        """The artifact of an asset at a partition."""
        return cls(asset, key.get("model", ""), key.get("trait", ""))

    @property
    def key(self) -> PartitionKey:
        """The partition."""
        values = zip(_DIMENSIONS, (self.model, self.trait), strict=True)
        return {name: value for name, value in values if value}

    @property
    def words(self) -> tuple[str, str, str]:
        """Asset, model and trait as parts of an object's name."""
        return self.asset, self.model or _NONE, self.trait or _NONE


def artifact_of(words: list[str]) -> Artifact | None:
    """The artifact that parts of an object's name stand for; None if no such artifact can be."""
    if len(words) != 3 or not _ASSET.fullmatch(words[0]):
        return None
    model, trait = ("" if word == _NONE else word for word in words[1:])
    if any(value and not is_slug(value) for value in (model, trait)):
        return None
    return Artifact(words[0], model, trait)


def encode(record: Record) -> bytes:
    """A record as the content of an object."""
    value = {
        "asset_key": record.asset_key,
        "partition": record.partition,
        "data_version": record.data_version,
        "inputs": [[i.asset_key, i.partition, i.data_version] for i in sorted(record.inputs)],
        "files": [[file.path, file.bytes, file.sha256] for file in record.files],
        "study": record.study,
        "code_version": record.code_version,
        "run_id": record.run_id,
        "mlflow_run_id": record.mlflow_run_id,
        "created_at": record.created_at.isoformat(),
    }
    text = json.dumps(value, indent=1, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def decode(name: str, content: bytes, artifact: Artifact) -> Record:
    """The record that an object holds.

    Raises:
        DamagedObjectError: the content was changed, is no record of this artifact, or names a file
            outside the rooms of results.
    """
    digest, _, text = content.partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != digest:
        raise DamagedObjectError(f"{name} in the depot is damaged: its digest differs")
    try:
        value = json.loads(text)
        record = Record(
            asset_key=str(value["asset_key"]),
            partition=str(value["partition"]),
            data_version=str(value["data_version"]),
            inputs=frozenset(InputVersion(*map(str, row)) for row in value["inputs"]),
            files=tuple(StoredFile(str(p), int(n), str(h)) for p, n, h in value["files"]),
            study=str(value["study"]),
            code_version=str(value["code_version"]),
            run_id=str(value["run_id"]),
            mlflow_run_id=str(value["mlflow_run_id"]),
            created_at=datetime.fromisoformat(value["created_at"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedObjectError(f"{name} in the depot is no record: {error}") from error
    named = (record.asset_key, record.partition)
    if named != (artifact.asset, partition_name(artifact.key)):
        raise DamagedObjectError(f"{name} in the depot is a record of {' '.join(named)}")
    for file in record.files:
        if not _is_result(file.path) or not _SHA256.fullmatch(file.sha256):
            raise DamagedObjectError(f"{name} in the depot names the file {file.path!r}")
    return record


def _is_result(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return (
        len(parts) > 1
        and parts[0] in ROOMS
        and ".." not in parts
        and path == "/".join(parts)
        and "\0" not in path
    )
