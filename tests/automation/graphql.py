"""A real daemon and webserver on loopback, with the queries of the UI."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.tiny import World

_SENSOR = """
query ($name: String!) {
  sensorOrError(sensorSelector: {
    repositoryName: "__repository__",
    repositoryLocationName: "steer_assets.definitions",
    sensorName: $name
  }) { ... on Sensor { sensorState { id } } }
}
"""
_TICKS = """
query ($name: String!) {
  sensorOrError(sensorSelector: {
    repositoryName: "__repository__",
    repositoryLocationName: "steer_assets.definitions",
    sensorName: $name
  }) { ... on Sensor { sensorState { ticks(limit: 1, statuses: [SUCCESS, SKIPPED]) { status } } } }
}
"""
_STOP = """
mutation ($id: String!) {
  stopSensor(id: $id) { ... on StopSensorMutationResult { instigationState { status } } }
}
"""
_BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_BACKFILL_STATUS = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status error { message } }
  }
}
"""
_RUNS = """
{ runsOrError {
    ... on Runs { results { runId status creationTime jobName tags { key value } } } } }
"""
#: Statuses from which neither a run nor a backfill goes on.
_ENDED = {"COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True)
class Server:
    port: int

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            body,
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def runs(self, partition: str | None = None) -> list[dict[str, Any]]:
        """All runs, or those of one partition."""
        found = self.ask(_RUNS)["runsOrError"]["results"]
        tag = {"key": "dagster/partition", "value": partition}
        return [run for run in found if partition is None or tag in run["tags"]]

    def stop_sensor(self, name: str) -> None:
        """Switch a sensor off, as its switch in the UI does."""
        state = self.ask(_SENSOR, name=name)["sensorOrError"]["sensorState"]
        stopped = self.ask(_STOP, id=state["id"])["stopSensor"]["instigationState"]
        assert stopped["status"] == "STOPPED"

    def has_looked(self, sensor: str) -> bool:
        """Whether a sensor has been evaluated."""
        return bool(self.ask(_TICKS, name=sensor)["sensorOrError"]["sensorState"]["ticks"])

    def backfill(self, assets: list[str], partitions: list[str], seconds: float) -> str:
        """Launch a backfill as the UI does; its status when it has ended."""
        params = {"assetSelection": [{"path": [a]} for a in assets], "partitionNames": partitions}
        launched = self.ask(_BACKFILL, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched

        def ended() -> str | None:
            found = self.ask(_BACKFILL_STATUS, id=launched["backfillId"])
            status: str = found["partitionBackfillOrError"]["status"]
            return status if status in _ENDED else None

        status: str = wait_for(f"the backfill of {assets[0]} ends", seconds, ended)
        return status


def wait_for(what: str, seconds: float, look: Callable[[], Any]) -> Any:
    """The first truthy answer; fails by name after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := look():
                return found
        except OSError:
            pass
        time.sleep(1)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@contextmanager
def serving(world: World) -> Iterator[Server]:
    """`dagster dev`: webserver, daemon and code server, ended with the block."""
    port = _free_port()
    log = (world.root / "dagster-dev.log").open("w")
    process = subprocess.Popen(
        [
            sys.executable, "-m", "dagster", "dev", "-m", "steer_assets.definitions",
            "--host", "127.0.0.1", "--port", str(port),
        ],
        env={**os.environ, **world.environment},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    server = Server(port)
    try:
        wait_for("the webserver answers", 180, lambda: server.ask("{ version }"))
        yield server
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        log.close()
