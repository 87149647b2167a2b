"""Functions that processes of tests run; imports nothing, so that a process starts quickly."""

import os
import signal
import time
from pathlib import Path


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    if number == 1:
        raise ValueError(f"no {number}")
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(number: int, folder: Path) -> int:
    """Kill the process that computes 2 for the first time."""
    mark = folder / "died"
    if number == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def say_and_wait(folder: Path) -> None:
    (folder / "pid").write_text(str(os.getpid()))
    time.sleep(60)
