"""A real daemon and webserver on loopback, asked as the UI asks."""

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
