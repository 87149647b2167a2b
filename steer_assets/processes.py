"""Identification of the process that wrote a file, and whether it still runs.

A process is identified by its number, its start time and its host: ``4711:998.77@node-3``. The
start time, in seconds after boot, is unaffected by clock changes and distinguishes a process from a
later one with the same number. Only processes of this host can be looked up; files written by
another host's process count as in use until they are `FOREIGN_S` old.
"""

import os
import re
import socket
import time
from pathlib import Path

#: Longer than any run: older files of another host are left over.
FOREIGN_S = 7 * 86_400.0
#: Tolerance in seconds: the start is a difference of two readings, one of them in whole seconds.
_SAME_START_S = 1.5
# A library may add its own suffix to a temporary file, as DuckDB does with `.wal`.
_TEMPORARY = re.compile(
    r"\.(?P<name>.+)\.(?P<tag>(?P<pid>\d{1,9})(?:@[\w-][\w.-]*)?)\.tmp(?:\.\w+)?"
)


def host() -> str:
    """The name of this host, without characters that are not allowed in file names."""
    return re.sub(r"[^\w.-]", "_", socket.gethostname()) or "localhost"


def own_tag() -> str:
    """The tag of this process, as in `4711:998.77@node-3`."""
    import psutil

    started = psutil.Process().create_time() - psutil.boot_time()
    return f"{os.getpid()}:{started:.2f}@{host()}"


def is_alive(tag: str, *, written: float) -> bool:
    """Whether the process named by `tag` still runs, as far as this host can determine.

    Args:
        tag: as from `own_tag`; without start or host, any process with this number counts.
        written: last write, in seconds since the epoch; decides for a process of another host.
    """
    process, _, home = tag.partition("@")
    if home and home != host():
        return time.time() - written < FOREIGN_S
    pid, _, started = process.partition(":")
    return pid.isdigit() and _runs(int(pid), started)


def _runs(pid: int, started: str) -> bool:
    import psutil

    try:
        found = psutil.Process(pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return False
        seconds = found.create_time() - psutil.boot_time()
        return not started or abs(seconds - float(started)) < _SAME_START_S
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def temporary_beside(target: Path) -> Path:
    """A temporary path in the folder of `target` whose name identifies this process."""
    return target.with_name(f".{target.name}.{os.getpid()}@{host()}.tmp")


def temporary_of(path: Path) -> str | None:
    """The final name of a temporary file; None for any other file."""
    match = _TEMPORARY.fullmatch(path.name)
    return match and match["name"]


def is_left_over(path: Path) -> bool:
    """Whether a path is a temporary file of a process that no longer runs."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    try:
        written = path.lstat().st_mtime
    except FileNotFoundError:  # renamed in the meantime, so its process was alive
        return False
    return not is_alive(match["tag"], written=written)
