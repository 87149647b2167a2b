"""File stamps for caches: small files are read many times within one run."""

import time
from pathlib import Path

#: Two writes within one tick of the file system's clock get the same time.
_TICK_NS = 100_000_000

Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp | None:
    """Inode, size and time of a file; None if it changed too recently for them to be reliable.

    Raises:
        OSError: the file's status cannot be read.
    """
    found = path.stat()
    if time.time_ns() - found.st_mtime_ns < _TICK_NS:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
