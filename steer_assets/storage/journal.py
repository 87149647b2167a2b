"""Journal of changed parts, so that a sync need not look at all of them.

Under `journal/`, one file per host and day with a line of JSON per event: before a writer changes
parts, `{"id": ..., "parts": [...]}`; when it is done, `{"id": ..., "done": true}`. Lines are
appended in one write and flushed to the disk, so a writer killed at any point leaves a first line
without the second, or part of a line. A reader looks at parts between both lines again each time.

The journal only names parts to look at. Where it is missing, shortened, replaced or damaged, a sync
looks at all parts. It does not know of files that a person adds, edits or removes.
"""

import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from steer_assets.processes import host
from steer_assets.storage.files.atomic import fsync
from steer_assets.storage.layout import Layout

_FOLDER = "journal"
_FILE = re.compile(r".+\.\d{8}\.jsonl")
#: Files that are this old and were read are removed by a full sync.
KEPT_S = 2 * 86_400.0


@dataclass(frozen=True, slots=True)
class Position:
    """How far a journal file was read, in bytes, and a digest of its first line."""

    offset: int
    head: str


@dataclass(slots=True)
class News:
    """Events after a position: parts by id of their change, ids of changes that are done.

    `complete` is false where the journal does not continue what was read before. All events of all
    files are given then, and parts may have changed that no event names.
    """

    begun: dict[str, list[str]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    positions: dict[str, Position] = field(default_factory=dict)
    complete: bool = True


@contextmanager
def changing(layout: Layout, parts: Sequence[str]) -> Iterator[None]:
    """Note that `parts` (names relative to the data folder) change within the block.

    Raises:
        OSError: the journal cannot be written, so nothing should be changed.
    """
    if not parts:
        yield
        return
    change = uuid.uuid4().hex
    _append(layout, {"id": change, "parts": list(parts)})
    try:
        yield
    finally:
        with suppress(OSError):  # the next syncs look at these parts without it
            _append(layout, {"id": change, "done": True})


def _append(layout: Layout, event: Mapping[str, object]) -> None:
    day = time.strftime("%Y%m%d", time.gmtime())
    path = layout.root / _FOLDER / f"{host()}.{day}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    line = f"{json.dumps(event, separators=(',', ':'))}\n".encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        if os.write(descriptor, line) != len(line):
            raise OSError(f"{path} could not be written to the end")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        fsync(path.parent)


def _paths(layout: Layout) -> list[Path]:
    folder = layout.root / _FOLDER
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if _FILE.fullmatch(path.name))


def read(layout: Layout, known: Mapping[str, Position] | None) -> News:
    """Events after the positions `known`; with None, where nothing was read before, all of them."""
    if known is not None:
        news = _read(layout, known)
        if news.complete:
            return news
    news = _read(layout, {})
    news.complete = False
    return news


def _read(layout: Layout, known: Mapping[str, Position]) -> News:
    paths = _paths(layout)
    news = News(complete=known.keys() <= {path.name for path in paths})
    for path in paths:
        with path.open("rb") as stream:
            first = stream.readline()
            since = known.get(path.name, Position(0, _digest(first)))
            end = stream.seek(0, os.SEEK_END)
            if since.head != _digest(first) or since.offset > end:
                news.complete = False
                continue
            stream.seek(since.offset)
            lines = stream.read()
        whole = lines[: lines.rfind(b"\n") + 1]  # the last line may be half written
        for line in whole.splitlines():
            _take(news, line)
        if first.endswith(b"\n"):
            news.positions[path.name] = Position(since.offset + len(whole), since.head)
    return news


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()[:16]


def _take(news: News, line: bytes) -> None:
    try:
        event = json.loads(line)
        change, parts = str(event["id"]), [str(name) for name in event.get("parts", [])]
    except (ValueError, TypeError, KeyError, AttributeError):
        news.complete = False
        return
    if not all(name.startswith("tables/") and ".." not in name.split("/") for name in parts):
        news.complete = False
    elif event.get("done"):
        news.done.add(change)
    else:
        news.begun[change] = parts


def old(layout: Layout) -> list[Path]:
    """Journal files that nobody has written to for two days."""
    until = time.time() - KEPT_S
    return [path for path in _paths(layout) if path.stat().st_mtime < until]


def drop_old(layout: Layout) -> None:
    """Remove `old` files."""
    for path in old(layout):
        path.unlink(missing_ok=True)
