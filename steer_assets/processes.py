"""Identification of the process that wrote a file, and whether it still runs.

A process is identified by its number, its start time and its place, which is the host's name, boot
and process namespace: ``4711:998.77@node-3+9f3c02ab-effffffc``. The start time, in seconds after
boot, is unaffected by clock changes and distinguishes a process from a later one with the same
number. A number means a process only within one boot and one namespace (a container has its own),
so only processes of this place can be looked up. Of another place, a run counts as in progress
until it is `FOREIGN_RUN_S` old, and a temporary file as in use until it is `FOREIGN_FILE_S` old.
A place of this host's name whose boot is an earlier one is gone, with all its processes.
"""

import os
import re
import socket
import time
from functools import cache
from pathlib import Path

#: Longer than any run: an older run of another host has ended without its record.
FOREIGN_RUN_S = 7 * 86_400.0
#: Longer than any file is written: an older temporary file of another host is left over.
FOREIGN_FILE_S = 86_400.0
#: Tolerance in seconds: the start is a difference of two readings, one of them in whole seconds.
_SAME_START_S = 1.5
# A library may add its own suffix to a temporary file, as DuckDB does with `.wal`.
_TEMPORARY = re.compile(
    r"\.(?P<name>.+?)\.(?P<tag>\d{1,9}(?:@[\w-][\w.-]*(?:\+[0-9a-f]+-[0-9a-f]+)?)?)\.tmp(?:\.\w+)?"
)


def host() -> str:
    """The name of this host, without characters that are not allowed in file names."""
    return re.sub(r"[^\w.-]", "_", socket.gethostname()) or "localhost"


@cache
def boot() -> str:
    """The first digits of the kernel's boot id; `0` where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii")[:8]
    except OSError:
        return "0"


def namespace() -> str:
    """The process namespace, in which process numbers are unique; `0` where there is none.

    Read each time, because a child may be in another namespace than its parent.
    """
    try:
        return f"{Path('/proc/self/ns/pid').stat().st_ino:x}"
    except OSError:
        return "0"


def place() -> str:
    """Where numbers of processes mean what they mean here, as in `node-3+9f3c02ab-effffffc`."""
    return f"{host()}+{boot()}-{namespace()}"


def own_tag() -> str:
    """The tag of this process, as in `4711:998.77@node-3+9f3c02ab-effffffc`."""
    import psutil

    started = psutil.Process().create_time() - psutil.boot_time()
    return f"{os.getpid()}:{started:.2f}@{place()}"


def is_alive(tag: str, *, written: float, foreign_s: float = FOREIGN_RUN_S) -> bool:
    """Whether the process named by `tag` still runs, as far as this host can determine.

    Args:
        tag: as from `own_tag`; without start or place, any process with this number counts.
        written: last write, in seconds since the epoch; decides for a process of another place.
        foreign_s: age from which a process of another place counts as ended, in seconds.
    """
    process, _, home = tag.partition("@")
    if home and home not in (host(), place()):
        return not _was_before_boot(home, written) and time.time() - written < foreign_s
    pid, _, started = process.partition(":")
    return pid.isdigit() and _runs(int(pid), started)


def _was_before_boot(home: str, written: float) -> bool:
    """Whether `home` is this host before it was started again.

    A host of the same name that is still up is told from it by having written since.
    """
    import psutil

    name, _, rest = home.partition("+")
    earlier = rest.partition("-")[0] != boot()
    return name == host() and earlier and written < psutil.boot_time()


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
    return target.with_name(f".{target.name}.{os.getpid()}@{place()}.tmp")


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
    return not is_alive(match["tag"], written=written, foreign_s=FOREIGN_FILE_S)
