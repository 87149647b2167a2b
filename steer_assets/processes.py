"""Which process wrote something, and whether it still runs.

A process is named by its number, its start (seconds after boot, which no change of the clock moves
and which tells it from a later process of the same number) and its host: ``4711:998.77@node-3``.
Only processes of this host can be looked up. What another host's process has written counts as in
use until it is `FOREIGN_S` old.
"""

import os
import re
import socket
import time
from pathlib import Path

#: No run takes a week; what another host wrote before that is left over.
FOREIGN_S = 7 * 86_400.0
#: The start is a difference of two readings, one of which has whole seconds.
_SAME_START_S = 1.5
# A library may put a file of its own beside the temporary one, as DuckDB does its `.wal`.
_TEMPORARY = re.compile(
    r"\.(?P<name>.+)\.(?P<tag>(?P<pid>\d{1,9})(?:@[\w-][\w.-]*)?)\.tmp(?:\.\w+)?"
)


def host() -> str:
    """The name of this host, without what a file name must not hold."""
    return re.sub(r"[^\w.-]", "_", socket.gethostname()) or "localhost"


def own_tag() -> str:
    """Names this process, as in `4711:998.77@node-3`."""
    import psutil

    started = psutil.Process().create_time() - psutil.boot_time()
    return f"{os.getpid()}:{started:.2f}@{host()}"


def is_alive(tag: str, *, written: float) -> bool:
    """Whether the process that `tag` names still runs, as far as can be known.

    Args:
        tag: of `own_tag`; without a start or a host, of whatever process has the number here.
        written: when it last wrote, seconds since the epoch; decides for a process of another host.
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
    """A name in the folder of `target` that says which process writes under it."""
    return target.with_name(f".{target.name}.{os.getpid()}@{host()}.tmp")


def temporary_of(path: Path) -> str | None:
    """The name of the file that a temporary one is to become; None for any other file."""
    match = _TEMPORARY.fullmatch(path.name)
    return match and match["name"]


def is_left_over(path: Path) -> bool:
    """Whether a path is a temporary one of a process that is gone."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    try:
        written = path.lstat().st_mtime
    except FileNotFoundError:  # renamed meanwhile, by a process that was alive
        return False
    return not is_alive(match["tag"], written=written)
