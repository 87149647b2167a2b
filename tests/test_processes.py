"""Liveness of processes: by number and start in this place, by age in another."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steer_assets import processes
from steer_assets.processes import (
    FOREIGN_FILE_S,
    FOREIGN_RUN_S,
    is_alive,
    is_left_over,
    own_tag,
    temporary_beside,
)

TODAY = time.time()


def test_this_process_is_alive_and_a_later_one_of_its_number_is_another() -> None:
    pid, rest = own_tag().split(":")
    started, home = rest.split("@")
    assert is_alive(own_tag(), written=0.0)
    assert is_alive(pid, written=0.0)
    assert not is_alive(f"{pid}:{float(started) + 10}@{home}", written=TODAY)


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


#: Hosts that differ in what a name, a boot and a namespace say.
ELSEWHERE = {
    "another host": f"another+{processes.boot()}-{processes.namespace()}",
    "another container of this host": f"{processes.host()}+{processes.boot()}-1",
    "another machine of this name": f"{processes.host()}+12345678-{processes.namespace()}",
    "a host of an earlier version's tag": "another",
}


@pytest.mark.parametrize("home", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_process_of_another_place_is_judged_by_age_alone(home: str) -> None:
    ours, dead = f"{own_tag().partition('@')[0]}@{home}", f"999999999:1@{home}"
    assert is_alive(ours, written=TODAY)
    assert is_alive(dead, written=TODAY)
    assert not is_alive(ours, written=TODAY - FOREIGN_RUN_S - 1)
    assert not is_alive(ours, written=TODAY - 61, foreign_s=60)


def test_the_processes_of_this_host_end_with_its_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = own_tag()
    monkeypatch.setattr(processes, "boot", lambda: "87654321")
    monkeypatch.setattr("psutil.boot_time", lambda: TODAY - 60)
    assert not is_alive(ours, written=TODAY - 61)
    assert is_alive(ours, written=TODAY - 59)  # another host of this name wrote it


def test_a_tag_of_an_earlier_version_is_looked_up_on_its_host() -> None:
    number = own_tag().partition("@")[0]
    assert is_alive(f"{number}@{processes.host()}", written=0.0)
    assert not is_alive(f"999999999:1@{processes.host()}", written=TODAY)


@pytest.mark.parametrize("home", ELSEWHERE.values(), ids=ELSEWHERE)
def test_temporary_files_of_another_place_stay_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    now = time.time()
    monkeypatch.setattr("psutil.boot_time", lambda: now - 2 * FOREIGN_FILE_S)
    dead = temporary_beside(tmp_path / "part.parquet")
    dead = dead.with_name(dead.name.replace(str(os.getpid()), "999999999", 1))
    dead.touch()
    assert is_left_over(dead)
    theirs = tmp_path / f".part.parquet.{os.getpid()}@{home}.tmp"
    theirs.touch()
    assert not is_left_over(theirs)
    os.utime(theirs, (0, now - FOREIGN_FILE_S + 60))
    assert not is_left_over(theirs)
    os.utime(theirs, (0, now - FOREIGN_FILE_S - 60))
    assert is_left_over(theirs)


@pytest.mark.parametrize("name", ["node-3.cluster.example", "rack.12", "a b/c", ""])
def test_any_host_name_makes_a_temporary_name_that_is_known_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: name)
    path = temporary_beside(tmp_path / "part.parquet")
    assert path.parent == tmp_path
    assert processes.temporary_of(path) == "part.parquet"
    assert processes.temporary_of(path.with_name(f"{path.name}.wal")) == "part.parquet"
