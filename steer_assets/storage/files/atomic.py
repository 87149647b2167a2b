"""Atomic file writes: a file is complete or absent.

Every file is written under a temporary name in its own folder, verified by its writer, fsynced and
renamed. A process killed at any point leaves the old file or none, and possibly a temporary file
whose name contains its process and host, which the next writer of the same file removes.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from steer_assets.processes import is_left_over, temporary_beside, temporary_of


def sweep_temporaries(folder: Path, name: str | None = None) -> list[Path]:
    """Remove temporary files and folders of dead writers in `folder` (of `name`, if given)."""
    swept = []
    for path in folder.glob(".*.tmp*") if folder.is_dir() else ():
        if name is not None and temporary_of(path) != name:
            continue
        if is_left_over(path):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            swept.append(path)
    return swept


def fsync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(target: Path, verify: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on a clean exit verify, fsync and rename it.

    `verify` reads the temporary file back and raises if its content is not as intended.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep_temporaries(target.parent, target.name)
    temporary = temporary_beside(target)
    temporary.unlink(missing_ok=True)  # left by a dead process that had the same process id
    try:
        yield temporary
        if verify is not None:
            verify(temporary)
        fsync(temporary)
        temporary.replace(target)
        fsync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 `text` to `target` atomically, verified by reading it back."""

    def verify(path: Path) -> None:
        if path.read_text(encoding="utf-8") != text:
            raise OSError(f"{target} read back differently from what was written")

    with atomic_path(target, verify) as temporary:
        temporary.write_text(text, encoding="utf-8")
