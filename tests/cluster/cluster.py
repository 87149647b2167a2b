"""The cluster profile on two hosts: Postgres, pgbouncer and Ray's head on one, a worker on each."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from steer_assets.paths import REPOSITORY
from tests.cluster.hosts import Host, initdb, kill, two_hosts
from tests.tiny import World

DEPLOY = REPOSITORY / "deploy" / "cluster"
_MODULE = ("-m", "steer_assets.definitions")
_NOTHING: Mapping[str, str] = {}
OPTIONS = "--object-store-memory=100000000"


def _commands(root: Path) -> Path:
    """A folder with the command of Ray's jobs, which the environment beside `.venv` lacks."""
    command = root / "bin" / "dagster"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m dagster "$@"\n')
    command.chmod(0o755)
    return command.parent


def _settings(world: World, root: Path) -> dict[str, str]:
    """What `environment.sh` sets, for two small hosts without GPUs."""
    token = root / "ray.token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    return {
        **world.environment,
        "PATH": f"{_commands(root)}:{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "STEER_WAREHOUSE": "nodea",
        "STEER_THUMBNAILS": "files",
        "STEER_RUN_CPUS": "2",
        "STEER_PG_HOST": "10.77.0.1",
        "STEER_PG_PORT": "6432",
        "STEER_PG_USER": "dagster",
        "STEER_PG_DATABASE": "dagster",
        "STEER_PG_PASSWORD": secrets.token_hex(16),
        "MLFLOW_TRACKING_URI": "off",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_HEAD": "10.77.0.1",
        "RAY_PORT": "6390",
        "STEER_RAY_ADDRESS": "http://10.77.0.1:8265",
        # Ray would end processes when the whole machine, which has other users, is short of memory.
        "RAY_memory_monitor_refresh_ms": "0",
    }


def _profile(home: Path) -> None:
    """The profile's `dagster.yaml`, with local logs and shorter waits."""
    profile = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    del profile["compute_logs"]
    profile["run_launcher"]["config"]["ray"]["env_vars"] += ["OMP_NUM_THREADS", "PYTHONPATH"]
    profile["run_coordinator"]["config"] |= {
        "user_code_failure_retry_delay": 5, "dequeue_interval_seconds": 1
    }  # fmt: skip
    profile["run_monitoring"] |= {"poll_interval_seconds": 5}
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump(profile))


def _bouncer(folder: Path, port: int, password: str) -> Path:
    text = (DEPLOY / "pgbouncer.ini").read_text()
    text = text.replace("POSTGRES_HOST port=5432", f"127.0.0.1 port={port}")
    text = text.replace("HEAD_ADDRESS", "10.77.0.1")
    users = folder / "userlist.txt"
    users.write_text(f'"dagster" "{password}"\n')
    settings = folder / "pgbouncer.ini"
    settings.write_text(text.replace("/etc/pgbouncer/userlist.txt", str(users)))
    for path in (users, settings):
        shutil.chown(path, "postgres")
    return settings


def _serve_postgres(host: Host, password: str) -> None:
    folder = host.root / "pg"
    folder.mkdir()
    (folder / "password").write_text(password)
    shutil.chown(folder, "postgres")
    shutil.chown(folder / "password", "postgres")
    made = initdb()
    assert made is not None
    data = folder / "data"
    host.run(
        made, "-D", data, "-U", "dagster", "--auth=scram-sha-256",
        f"--pwfile={folder / 'password'}", "--no-sync", user="postgres",
    )  # fmt: skip
    host.start(
        made.with_name("postgres"), "-D", data, "-p", "5544", "-k", folder,
        "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", user="postgres",
    )  # fmt: skip
    environment = {"PGPASSWORD": password}
    host.environment |= environment
    address = ["-h", "127.0.0.1", "-p", "5544", "-U", "dagster"]
    wait_for("Postgres answers", 30, lambda: _works(host, "pg_isready", *address))
    host.run("createdb", *address, "dagster")
    host.start("pgbouncer", _bouncer(folder, 5544, password), user="postgres")


def _partition_tags(partition: str) -> dict[str, str]:
    names = ("model", "trait") if "|" in partition else ()
    parts = zip(names, partition.split("|"), strict=bool(names))
    return {"dagster/partition": partition} | {f"dagster/partition/{n}": p for n, p in parts}


def _works(host: Host, *command: str) -> bool:
    return host.start(*command).wait(20) == 0


def wait_for(what: str, seconds: float, look: Callable[[], Any]) -> Any:
    """The first truthy answer; fails by name after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def host_of(run: dg.DagsterRun) -> str:
    """The host on which a run ran; empty before it began."""
    return run.tags.get("steer/process", "").partition("@")[2].partition("+")[0]


@dataclass
class Cluster:
    """Both hosts, and what runs on them."""

    a: Host
    b: Host
    world: World
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def settle(self, patch: pytest.MonkeyPatch) -> None:
        """Give this process the settings with which it reaches the cluster."""
        for name, value in self.a.environment.items():
            if name.startswith(("STEER_PG", "STEER_RAY", "STEER_DEPOT")):
                patch.setenv(name, value)

    def head(self) -> None:
        """Start Ray's head on A; it takes runs without a model."""
        self.a.environment["RAY_HEAD_OPTIONS"] = f"--num-cpus=1 {OPTIONS}"
        self.running["head"] = self.a.start(DEPLOY / "head.sh")
        address = "http://10.77.0.1:8265/api/version"
        ask = ("curl", "-sf", "-o", "/dev/null", "-H")
        token = Path(self.a.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
        header = f"Authorization: Bearer {token}"
        wait_for("Ray answers", 60, lambda: _works(self.a, *ask, header, address))

    def worker(self, cpus: int = 2) -> None:
        """Start a worker on B, with cores enough for a run that holds a model."""
        self.b.environment["RAY_WORKER_OPTIONS"] = (
            f"--node-ip-address=10.77.0.2 --num-cpus={cpus} {OPTIONS}"
        )
        self.running["worker"] = self.b.start(DEPLOY / "worker.sh")

    def daemon(self) -> None:
        """Start Dagster's daemon on A, without sensors that request runs of their own."""
        for sensor in ("automation", "new_models"):
            self.a.run(sys.executable, "-m", "dagster", "sensor", "stop", sensor, *_MODULE)
        self.running["daemon"] = self.a.start(
            sys.executable, "-m", "dagster._daemon", "run", *_MODULE
        )

    def kill(self, name: str) -> None:
        """End one of the above with -9."""
        kill(self.running.pop(name))

    def queue(self, job: str, *partitions: str, **tags: str) -> set[str]:
        """Queue a run for each of the partitions; their ids.

        Not as a backfill of the command line, which is complete once its runs are queued: Dagster
        makes no run of a complete backfill again.
        """
        before = self.statuses().keys()
        for partition in partitions:
            self.a.run(
                sys.executable, "-m", "dagster", "job", "launch", *_MODULE, "-j", job,
                "--tags", json.dumps(tags | _partition_tags(partition)),
            )  # fmt: skip
        return self.statuses().keys() - before

    def ask(self, look: Callable[[dg.DagsterInstance], Any]) -> Any:
        """What the instance of the cluster says."""
        with self.a.reached(), dg.DagsterInstance.from_config(str(self.world.root / "home")) as i:
            return look(i)

    def statuses(self) -> dict[str, str]:
        """The status of every run, by its id."""
        return self.ask(lambda i: {run.run_id: run.status.value for run in i.get_runs()})

    def hosts_of(self, runs: Collection[str]) -> set[str]:
        """Hosts on which these runs ran."""

        def look(instance: dg.DagsterInstance) -> set[str]:
            found = (run for run in instance.get_runs() if run.run_id in runs)
            return {host_of(run) for run in found}

        found: set[str] = self.ask(look)
        return found

    def ended(self, seconds: float) -> dict[str, str]:
        """The statuses once every run has ended."""

        def look() -> dict[str, str] | None:
            found = self.statuses()
            return found if set(found.values()) <= {"SUCCESS", "FAILURE", "CANCELED"} else None

        found: dict[str, str] = wait_for("all runs end", seconds, look)
        return found


@contextmanager
def cluster(
    world: World, root: Path, *, settings: Mapping[str, str] = _NOTHING, apart: bool = False
) -> Iterator[Cluster]:
    """Hosts with Postgres behind pgbouncer; Ray and the daemon are started by the test.

    apart: B has a data folder of its own, at first empty.
    """
    settings = {**_settings(world, root), **settings}
    _profile(world.root / "home")
    disks = {world.layout.root: root / "data-of-b"} if apart else {}
    for own in disks.values():
        own.mkdir()
    with two_hosts(root, settings, disks) as (a, b):
        _serve_postgres(a, settings["STEER_PG_PASSWORD"])
        yield Cluster(a, b, world)
