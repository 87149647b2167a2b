"""SeaweedFS from its wheel: a real S3 server, on the loopback address alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

#: Names and rights of users; keys of a server that lives as long as its test.
_RIGHTS = {"writer": ["Admin", "Read", "Write", "List"], "reader": ["Read", "List"]}


def _free_ports(n: int) -> list[int]:
    with_sockets = [socket.socket() for _ in range(n)]
    for one in with_sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in with_sockets]
    for one in with_sockets:
        one.close()
    return ports


@dataclass
class Server:
    """The server, whose data outlive its process."""

    root: Path
    bucket: str = "depot"
    ports: list[int] = field(default_factory=lambda: _free_ports(8))
    process: subprocess.Popen[bytes] | None = None

    def environment(self, user: str) -> dict[str, str]:
        """Where a client finds the server, and as whom."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports[0]}",
            "AWS_ACCESS_KEY_ID": user,
            "AWS_SECRET_ACCESS_KEY": f"secret-of-{user}",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        """Start it, and wait until it stores and gives."""
        weed = shutil.which("weed") or Path(sys.executable).parent / "weed"
        config = self.root / "users.json"
        identities = [
            {
                "name": user,
                "credentials": [{"accessKey": user, "secretKey": f"secret-of-{user}"}],
                "actions": rights,
            }
            for user, rights in _RIGHTS.items()
        ]
        config.write_text(json.dumps({"identities": identities}))
        s3, master, volume, filer, *grpc = self.ports
        data = self.root / "data"
        data.mkdir(exist_ok=True)
        log = (self.root / "server.log").open("ab")
        self.process = subprocess.Popen(
            [weed, "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
             "-s3", f"-s3.port={s3}", f"-s3.config={config}", f"-s3.port.grpc={grpc[0]}",
             f"-master.port={master}", f"-master.port.grpc={grpc[1]}",
             f"-volume.port={volume}", f"-volume.port.grpc={grpc[2]}",
             f"-filer.port={filer}", f"-filer.port.grpc={grpc[3]}",
             "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.localSocket={self.root}/s3.sock",
             f"-filer.localSocket={self.root}/filer.sock", "-master.telemetry=false",
             "-volume.max=8", "-master.volumeSizeLimitMB=64"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        self._wait()

    def _wait(self) -> None:
        import obstore
        from obstore.store import S3Store

        keys = self.environment("writer")
        options = {
            "endpoint": keys["AWS_ENDPOINT_URL"],
            "access_key_id": keys["AWS_ACCESS_KEY_ID"],
            "secret_access_key": keys["AWS_SECRET_ACCESS_KEY"],
            "region": "us-east-1",
        }
        store = S3Store(
            self.bucket,
            **options,
            client_options={"allow_http": True, "timeout": "5s"},
            retry_config={"max_retries": 0},
        )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.poll() is None, (self.root / "server.log").read_text()[-3000:]
            with suppress(obstore.exceptions.BaseError):
                self._make_bucket(keys)
                obstore.put(store, "is-up", b"yes")
                return
            time.sleep(0.5)
        raise AssertionError((self.root / "server.log").read_text()[-3000:])

    def _make_bucket(self, keys: dict[str, str]) -> None:
        """Make the bucket, as a folder of the filer below its S3 gateway."""
        import urllib.error
        import urllib.request

        url = f"http://127.0.0.1:{self.ports[3]}/buckets/{self.bucket}/"
        with suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=5).close()

    def kill(self) -> None:
        """End it with -9."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        for port in self.ports:  # it makes sockets of these names, and leaves them when killed
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    """A server until the block ends."""
    server = Server(root)
    try:
        server.start()
        yield server
    finally:
        server.kill()
