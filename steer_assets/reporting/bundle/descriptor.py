"""`datapackage.json` of a bundle, by the Data Package standard (Frictionless), version 1.

Tables are resources with the schema that `sql/tables` declares, comments included; all other files
are resources without one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steer_assets.storage.schema import columns, nullable, table_statements

_TYPES = {
    "String": "string",
    "Int32": "integer",
    "Int64": "integer",
    "Float64": "number",
    "Boolean": "boolean",
    "Datetime": "datetime",
    "List": "any",  # readers of Parquet give arrays of their own
}
_COLUMN = re.compile(r'^ {4}"?(\w+)"? +\w+[^-\n]*(?:-- *(.*))?$', re.MULTILINE)
_FORMATS = {
    "html": "text/html",
    "svg": "image/svg+xml",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "safetensors": "application/octet-stream",
    "yaml": "application/yaml",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the bundle; path relative to it."""

    path: str
    bytes: int
    sha256: str
    table: str = ""


def meaning(table: str) -> str:
    """The comment above a table's declaration, as one paragraph."""
    lines = []
    for line in table_statements()[table].splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def schema(table: str) -> dict[str, Any]:
    """The declared columns of a table as a Table Schema."""
    comments = dict(_COLUMN.findall(table_statements()[table]))
    may_lack = nullable(table)
    fields = []
    for name, dtype in columns(table).items():
        field: dict[str, Any] = {"name": name, "type": _TYPES[type(dtype).__name__]}
        if comment := comments.get(name, ""):
            field["description"] = comment
        if name not in may_lack:
            field["constraints"] = {"required": True}
        fields.append(field)
    # An empty text is a value here, as in a row that has no reason.
    return {"fields": fields, "missingValues": []}


def _resource(file: File) -> dict[str, Any]:
    form = file.path.rpartition(".")[2].lower()
    name = file.table or re.sub(r"[^a-z0-9._/-]+", "-", file.path.lower()).replace("/", "--")
    found: dict[str, Any] = {
        "name": name,
        "path": file.path,
        "format": form,
        "mediatype": _FORMATS.get(form, "text/plain"),
    }
    # Validators of the standard cannot count bytes of Parquet; the checksums have all files.
    if not file.table:
        found |= {"bytes": file.bytes, "hash": f"sha256:{file.sha256}"}
    else:
        about = {"description": meaning(file.table), "schema": schema(file.table)}
        found |= {
            "profile": "tabular-data-resource",
            "title": file.table.replace("_", " "),
            **about,
        }
    return found


def descriptor(
    files: Sequence[File], *, name: str, title: str, about: str, version: str, license: str
) -> dict[str, Any]:
    """The package as JSON-like data. license: an SPDX identifier in lower case, or `unknown`."""
    package: dict[str, Any] = {
        "profile": "data-package",
        "name": name,
        "title": title,
        "description": about,
        "version": version,
        "resources": [_resource(file) for file in files],
    }
    if license != "unknown":
        package["licenses"] = [{"name": license.upper()}]
    return package
