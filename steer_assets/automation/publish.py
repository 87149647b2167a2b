"""A folder with all results that anyone can read, serve, check and derive again."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.paths import PACKAGE, REPOSITORY, SQL
from steer_assets.pipeline import freshness
from steer_assets.reporting.bundle.card import card
from steer_assets.reporting.bundle.descriptor import File, descriptor
from steer_assets.storage.files.hashing import hash_file
from steer_assets.storage.files.parquet import read_part, write_part
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import nullable, table_statements
from steer_assets.version import VERSION

DESCRIPTOR = "datapackage.json"
CHECKSUMS = "checksums.sha256"
_CARD = "README.md"
#: About this machine's catalog, not about the results.
_LEFT_OUT = ("expected_inputs",)
_PAGES = (".html", ".svg", ".csv", ".pdf")
_INDEX = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Steering vectors: verdicts</title>
<meta http-equiv="refresh" content="0; url=reports/index.html"></head>
<body><p><a href="reports/index.html">Verdicts over models and traits</a></p></body></html>
"""
_SCRIPT = """\
#!/bin/sh
# Derives the published numbers again and compares them; needs the packages of requirements.txt.
set -e
cd "$(dirname "$0")"
export PYTHONPATH="$PWD/source" PYTHONDONTWRITEBYTECODE=1
exec "${PYTHON:-python3}" -m steer_assets.cli reproduce .
"""


class PublishError(ValueError):
    """There is nothing to publish, or the folder is not to be written to."""


@dataclass(frozen=True, slots=True)
class Published:
    """A bundle that was written."""

    folder: Path
    files: list[File]

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(file.bytes for file in self.files)


def publish(layout: Layout, to: Path, *, title: str, license: str) -> Published:
    """Write a bundle of everything stored; an earlier bundle in the same folder is replaced.

    Raises:
        PublishError: no report is stored, or the folder holds something else.
        CatalogError: the study of a report is no longer in the catalog.
    """
    if not layout.part("identifiability_summary", {}).exists():
        raise PublishError("there is no report to publish yet; `steer run --help` tells how")
    if to.exists() and any(to.iterdir()) and not (to / DESCRIPTOR).is_file():
        raise PublishError(f"{to} is not empty and holds no earlier bundle; name another folder")
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as work:
        folder = Path(work) / "bundle"
        folder.mkdir()
        tables = dict(_tables(layout, folder))
        _copies(layout, folder)
        files = _described(folder, tables, title, license)
        if to.exists():
            shutil.rmtree(to)
        folder.rename(to)
    return Published(to, files)


def _tables(layout: Layout, folder: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    for table in table_statements():
        parts = [] if table in _LEFT_OUT else list(layout.parts(table))
        if not parts:
            continue
        frame = pl.concat([read_part(part.path) for part in parts])
        write_part(folder / "tables" / f"{table}.parquet", frame, nullable(table))
        yield table, frame


def _copies(layout: Layout, folder: Path) -> None:
    """Pages, figures, vectors, studies, the code, and what it needs."""
    _copy(layout.root / "reports", folder / "reports", _PAGES)
    _copy(layout.root / "vectors", folder / "vectors", (".safetensors",))
    for study in studies(layout):
        path = folder / "studies" / f"{study.study}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False))
    source = folder / "source"
    for path in (PACKAGE, SQL):
        shutil.copytree(path, source / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", source)
    shutil.copy(REPOSITORY / ".constraints.txt", folder / "requirements.txt")
    (folder / "index.html").write_text(_INDEX)
    script = folder / "reproduce.sh"
    script.write_text(_SCRIPT)
    script.chmod(0o755)


def studies(layout: Layout) -> list[Any]:
    """The studies of all reports, once each.

    Raises:
        CatalogError: one is no longer in the catalog.
    """
    stage = STAGES["equivalence_reports"]
    records = [
        freshness.record_of(layout, stage, key) for key in freshness.materialised(layout, stage)
    ]
    return [catalog.study(name) for name in sorted({r.study for r in records if r is not None})]


def _copy(source: Path, to: Path, suffixes: tuple[str, ...]) -> None:
    """Regular files of these kinds; links, which may lead anywhere, stay."""
    for path in sorted(source.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix in suffixes:
            target = to / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def _file(folder: Path, path: Path, table: str = "") -> File:
    name = path.relative_to(folder).as_posix()
    return File(name, path.stat().st_size, hash_file(path), table)


def _files(folder: Path, tables: dict[str, pl.DataFrame]) -> Iterator[File]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            is_table = path.parent == folder / "tables" and path.stem in tables
            yield _file(folder, path, path.stem if is_table else "")


def _described(
    folder: Path, tables: dict[str, pl.DataFrame], title: str, license: str
) -> list[File]:
    """Write card, descriptor and checksums; return all files of the bundle. Each is hashed once."""
    files = list(_files(folder, tables))
    summary = tables["identifiability_summary"]
    names = [path.stem for path in sorted((folder / "studies").glob("*.yaml"))]
    models = [_model(row) for row in tables["models"].sort("model").iter_rows(named=True)]
    about = card(
        files, summary, models, title=title, license=license, studies=names, version=VERSION
    )
    (folder / _CARD).write_text(about)
    package = descriptor(
        [file for file in files if not file.path.startswith("source/")],
        name="steer-assets-results",
        title=title,
        about="Are steering vectors identifiable? Measurements, texts, scores, tests and verdicts.",
        version=VERSION,
        license=license,
    )
    (folder / DESCRIPTOR).write_text(json.dumps(package, indent=1, ensure_ascii=False) + "\n")
    files += [_file(folder, folder / name) for name in (_CARD, DESCRIPTOR)]
    lines = [f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda f: f.path)]
    (folder / CHECKSUMS).write_text("".join(lines))
    return [*files, _file(folder, folder / CHECKSUMS)]


def _model(row: dict[str, Any]) -> dict[str, str]:
    """One model for the card; a model that left the catalog has no licence or source any more."""
    about = {"model": row["model"], "title": row["model"], "license": "unknown"}
    about |= {"location": "", "revision": "", "sha256": row["sha256"]}
    try:
        entry = catalog.model_entry(row["model"])
    except CatalogError:
        return about
    about |= {"title": entry.title, "license": entry.license, "revision": entry.source.revision}
    # Folders of this machine mean nothing elsewhere.
    named = entry.source.kind in ("package", "hub")
    return about | {"location": entry.source.location if named else entry.source.kind}
