"""Processes on another host, as far as the kernel can tell: their own namespaces, and a name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

_UNSHARE = ("unshare", "--pid", "--mount-proc", "--uts", "--fork", "--kill-child")


@cache
def namespaces_are_allowed() -> bool:
    """Whether this user may make process namespaces."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@contextmanager
def another_host(
    code: str, *arguments: object, name: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run `code` in namespaces of its own, with a host name unless it is to keep this one's.

    The process is killed, with its namespace, when the block ends.
    """
    named = f"hostname {name}; " if name else ""
    command = [*_UNSHARE, "sh", "-c", f'{named}exec "$@"', "sh", sys.executable, "-c", code]
    with subprocess.Popen(
        [*command, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
