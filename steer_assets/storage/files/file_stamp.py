"""Whether a file is still what was read: small files are read over and over within one run."""

import time
from pathlib import Path

#: Two writes within one tick of the file system's clock have the same time.
_TICK_NS = 100_000_000

Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp | None:
    """Inode, size and time of a file; None where it changed too recently for these to tell.

    Raises:
        OSError: the file cannot be looked at.
    """
    found = path.stat()
    if time.time_ns() - found.st_mtime_ns < _TICK_NS:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
