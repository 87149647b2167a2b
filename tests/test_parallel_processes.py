"""Pieces in processes: nothing is lost with a process, and no process stays without its parent."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from steer_assets.parallel_processes import LostWorkersError, Piece, Processes
from steer_assets.paths import REPOSITORY
from tests import work


@pytest.fixture
def processes() -> Iterator[Processes]:
    made = Processes(2)
    yield made
    made.close()


def test_every_piece_has_its_result_though_a_process_is_killed(
    processes: Processes, tmp_path: Path
) -> None:
    pieces = [Piece(work.die_once, {"number": n, "folder": tmp_path}) for n in range(6)]
    assert dict(processes.run(pieces)) == {n: n * n for n in range(6)}
    assert (tmp_path / "died").exists()
    # the pool works on
    assert dict(processes.run([Piece(work.square, {"number": 3})])) == {0: 9}


def test_a_piece_that_kills_every_process_ends_in_one_sentence(processes: Processes) -> None:
    with pytest.raises(LostWorkersError, match="3 workers died without finishing a piece"):
        list(processes.run([Piece(work.die, {"number": 1})]))


def test_the_error_of_a_piece_is_the_callers(processes: Processes) -> None:
    with pytest.raises(ValueError, match="no 1"):
        list(processes.run([Piece(work.refuse, {"number": n}) for n in range(3)]))


_PARENT = """
from pathlib import Path
from steer_assets.parallel_processes import Piece, Processes
from tests import work
if __name__ == "__main__":
    list(Processes(1).run([Piece(work.say_and_wait, {"folder": Path(%r)})]))
"""


def test_processes_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT % str(tmp_path))
    parent = subprocess.Popen([sys.executable, script], env={"PYTHONPATH": str(REPOSITORY)})
    try:
        told = tmp_path / "pid"
        _wait(lambda: told.exists() and bool(told.read_text()))
        worker = psutil.Process(int(told.read_text()))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        _wait(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    finally:
        parent.kill()


def _wait(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
