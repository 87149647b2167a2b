"""Liveness of processes: by number and start on this host, by age on another."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steer_assets import processes
from steer_assets.processes import FOREIGN_S, is_alive, is_left_over, own_tag, temporary_beside

TODAY = time.time()


def test_this_process_is_alive_and_a_later_one_of_its_number_is_another() -> None:
    pid, rest = own_tag().split(":")
    started, host = rest.split("@")
    assert is_alive(own_tag(), written=0.0)
    assert is_alive(pid, written=0.0)
    assert not is_alive(f"{pid}:{float(started) + 10}@{host}", written=TODAY)


@pytest.mark.parametrize("reaped", [True, False])
def test_a_killed_process_is_dead_even_before_its_parent_asks(reaped: bool) -> None:
    code = "from steer_assets.processes import own_tag; print(own_tag(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        tag = process.stdout.readline().strip()
        assert is_alive(tag, written=0.0)
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        if reaped:
            process.wait()
        assert not is_alive(tag, written=TODAY)


@pytest.mark.parametrize("tag", ["", "x", "999999999:1", "-1", "99999999999999999999"])
def test_what_names_no_process_is_not_alive(tag: str) -> None:
    assert not is_alive(tag, written=TODAY)


def test_a_process_of_another_host_is_judged_by_age_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = own_tag()
    monkeypatch.setattr(processes, "host", lambda: "another")
    assert is_alive(ours, written=TODAY)
    assert not is_alive(ours, written=TODAY - FOREIGN_S - 1)
    dead = f"999999999:1@{ours.partition('@')[2]}"
    assert is_alive(dead, written=TODAY)


def test_temporary_files_of_another_host_stay_until_they_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = temporary_beside(tmp_path / "part.parquet")
    dead = path.with_name(path.name.replace(str(os.getpid()), "999999999"))
    dead.touch()
    assert is_left_over(dead)
    monkeypatch.setattr(processes, "host", lambda: "another")
    assert not is_left_over(dead)
    os.utime(dead, (0, TODAY - FOREIGN_S - 1))
    assert is_left_over(dead)


@pytest.mark.parametrize("name", ["node-3.cluster.example", "a b/c", ""])
def test_any_host_name_makes_a_temporary_name_that_is_known_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: name)
    path = temporary_beside(tmp_path / "part.parquet")
    assert path.parent == tmp_path
    assert processes.temporary_of(path) == "part.parquet"
    assert processes.temporary_of(path.with_name(f"{path.name}.wal")) == "part.parquet"
