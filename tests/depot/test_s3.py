"""Kills of an S3 server and of writers: no record is lost, no half artifact is seen."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from steer_assets.paths import REPOSITORY
from steer_assets.storage import lineage
from steer_assets.storage.depot import news
from steer_assets.storage.depot.depot import Depot, at
from steer_assets.storage.depot.mirror import Mirror
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import InputVersion
from tests.depot.hosts import ASSET, Writer
from tests.depot.s3 import Server, serving

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
pytest.importorskip("obstore")

KILLS = 5
#: Uploads of several parts, so that kills fall into them.
MIB = 48

WRITER = """
import os, sys
from pathlib import Path
from steer_assets.storage.depot.depot import at
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import InputVersion
from steer_assets.storage.depot.records import Artifact
from tests.depot.hosts import ASSET, Writer

writer = Writer(at(sys.argv[1]), Layout(Path(sys.argv[2])))
print("ready", flush=True)
for n in range(int(sys.argv[3])):
    inputs = InputVersion("code", ASSET, "1")
    key = {"model": f"m{n}", "trait": "t"}
    if sys.argv[6] and writer.depot.newest(Artifact.of(ASSET, key)):
        continue
    made = writer.make(sys.argv[4], inputs, key=key, mib=int(sys.argv[5]))
    print(n, made.record.run_id, flush=True)
"""


def start(
    server: Server, address: str, root: Path, n: int, run_id: str, mib: int, skip: str = ""
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, *map(str, (address, root, n, run_id, mib, skip))],
        cwd=REPOSITORY,
        env={**os.environ, **server.environment("writer"), "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def seen(depot: Depot, root: Path) -> dict[str, str]:
    """Run by model of all that a new reader sees, each brought whole."""
    layout = Layout(root)
    arrived = news.catch_up(depot, layout, lambda _: True)
    for one in arrived.values():
        if one.record is not None:
            assert lineage.damaged_files(layout, one.record) == []
            assert all((layout.root / file.path).exists() for file in one.record.files)
    return {a.model: one.record.run_id for a, one in arrived.items() if one.record is not None}


@pytest.fixture
def used(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server of all tests, with the rights of a writer."""
    for name, value in server.environment("writer").items():
        monkeypatch.setenv(name, value)
    at.cache_clear()
    return server


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A server of this test's own, to be killed."""
    (tmp_path / "s3").mkdir()
    with serving(tmp_path / "s3") as server:
        for name, value in server.environment("writer").items():
            monkeypatch.setenv(name, value)
        at.cache_clear()
        yield server


def test_a_server_that_is_killed_during_uploads_loses_nothing(own: Server, tmp_path: Path) -> None:
    address = f"s3://{own.bucket}/kills"
    moments = random.Random(7)
    writer = start(own, address, tmp_path / "writer", 8, "writer", MIB)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    for _ in range(KILLS):
        time.sleep(moments.uniform(0.3, 1.2))
        own.kill()
        time.sleep(0.5)
        own.start()
    out, err = writer.communicate(timeout=400)
    assert writer.returncode == 0, err[-3000:]
    assert len(out.splitlines()) == 8
    depot = at(address)
    assert seen(depot, tmp_path / "reader") == {f"m{n}": "writer" for n in range(8)}


def test_writers_that_are_killed_leave_nothing_half(used: Server, tmp_path: Path) -> None:
    """Each goes on where the one before was killed; what is there is not written again."""
    address, depot = f"s3://{used.bucket}/{tmp_path.name}", None
    moments, killed = random.Random(3), 0
    while killed < KILLS:
        writer = start(used, address, tmp_path / "writer", 40, f"run-{killed}", 4, "skip")
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(moments.uniform(0.5, 3.0))
        writer.kill()
        writer.communicate()
        killed += 1
        depot = at(address)
        before = seen(depot, tmp_path / f"reader-{killed}")
        print(killed, len(before))
    writer = start(used, address, tmp_path / "writer", 40, "last", 4, "skip")
    out, err = writer.communicate(timeout=300)
    assert writer.returncode == 0, err[-3000:]
    assert len(out.splitlines()) == 41 - len(before)
    assert depot is not None
    after = seen(depot, tmp_path / "reader")
    assert after.keys() == {f"m{n}" for n in range(40)}
    assert before.items() <= after.items()


def test_two_processes_of_the_same_partitions_make_one_record_each(
    used: Server, tmp_path: Path
) -> None:
    address = f"s3://{used.bucket}/{tmp_path.name}"
    writers = [start(used, address, tmp_path / run, 20, run, 0) for run in ("run-a", "run-b")]
    told = []
    for writer in writers:
        out, err = writer.communicate(timeout=120)
        assert writer.returncode == 0, err[-3000:]
        told.append(out.splitlines()[1:])
    assert told[0] == told[1]  # the loser has the winner's record
    depot = at(address)
    assert [depot.newest(artifact) for artifact in depot.artifacts()] == [1] * 20
    print({run: sum(run in line for line in told[0]) for run in ("run-a", "run-b")})
    assert len(seen(depot, tmp_path / "reader")) == 20


def test_a_reader_during_uploads_sees_whole_artifacts_only(used: Server, tmp_path: Path) -> None:
    address = f"s3://{used.bucket}/{tmp_path.name}"
    depot, stop, looked = at(address), threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            looked.append(len(seen(depot, tmp_path / "reader")))

    reader = threading.Thread(target=read)
    reader.start()
    writer = Writer(depot, Layout(tmp_path / "writer"))
    try:
        for n in range(12):
            key = {"model": f"m{n}", "trait": "t"}
            writer.make(f"run-{n}", InputVersion("code", ASSET, "1"), key=key, mib=8)
    finally:
        stop.set()
        reader.join()
    assert len(looked) > 3
    last = Mirror(depot, Layout(tmp_path / "reader"))
    arrived = last.bring_all(depot.artifacts(), lambda _: True)
    assert len(arrived) == 12
