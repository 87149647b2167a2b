"""Processes by name and start time, so that one is not taken for a later one of the same number."""

import os
from pathlib import Path


def _started_at(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def own_tag() -> str:
    """Names this process, as in `4711:998877`."""
    return f"{os.getpid()}:{_started_at(os.getpid())}"


def is_alive(tag: str) -> bool:
    """Whether the process that `tag` names still runs on this machine."""
    pid, _, started = tag.partition(":")
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return not started or started == _started_at(int(pid))
