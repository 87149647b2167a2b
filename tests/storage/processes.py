"""Other processes, for tests of locks, kills and limits."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `code` in a separate process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def holding(code: str, *arguments: object) -> Iterator[None]:
    """A process that runs `code`, which prints a line when it is ready, until the block ends."""
    waiting = f"{code}\nprint('ready', flush=True)\nimport sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", waiting, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        yield
        process.stdin.close()


def database_open(read_only: bool) -> str:
    """Code that opens the database named by its argument."""
    return f"import sys, duckdb; held = duckdb.connect(sys.argv[1], read_only={read_only})"
