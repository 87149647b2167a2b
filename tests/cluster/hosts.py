"""Two hosts on one machine: network, process, name and mount namespaces, joined by a cable.

Nothing listens outside these namespaces, and ending a host ends every process that it has.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_NEW_NET = 0x40000000


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@dataclass
class Host:
    """A host with an address; `environment` holds for every process that is started on it."""

    name: str
    address: str
    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    #: Folders of this host's own, by where it sees them.
    disks: dict[Path, Path] = field(default_factory=dict)
    _init: subprocess.Popen[bytes] | None = None
    _pid: int = 0

    @property
    def net(self) -> str:
        return f"steer-{self.name}-{os.getpid()}"

    def boot(self) -> None:
        """Start the host: an own name, own processes, own folders for Ray and shared memory."""
        own = self.root / f"{self.name}-ray"
        own.mkdir(exist_ok=True)
        Path("/tmp/ray").mkdir(exist_ok=True)
        disks = "".join(f" && mount --bind {own} {at}" for at, own in self.disks.items())
        setup = (
            f"hostname {self.name} && mount --make-rprivate / && mount --bind {own} /tmp/ray"
            f" && mount -t tmpfs tmpfs /dev/shm{disks} && exec sleep infinity"
        )
        self._init = subprocess.Popen(
            ["ip", "netns", "exec", self.net, "unshare", "--pid", "--mount-proc", "--uts",
             "--fork", "--kill-child", "sh", "-c", setup]
        )  # fmt: skip
        until = time.monotonic() + 10
        while time.monotonic() < until:
            inner = psutil.Process(self._init.pid).children()
            if inner and inner[0].name() == "sleep":
                self._pid = inner[0].pid
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.name} does not start")

    def kill(self) -> None:
        """End the host as a power failure does."""
        if self._init is not None:
            self._init.kill()
            self._init.wait()
            while psutil.pid_exists(self._pid):
                time.sleep(0.05)

    def start(
        self, *command: str | Path, user: str = "root", stdout: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process; its output goes to a file beside the data, unless `stdout` is given."""
        log = (self.root / f"{self.name}-{Path(command[0]).name}.log").open("ab")
        enter = ["nsenter", f"--target={self._pid}", "--mount", "--uts", "--net", "--pid"]
        given = ["runuser", "-u", user, "--"] if user != "root" else []
        return subprocess.Popen(
            [*enter, *given, *map(str, command)],
            env={**os.environ, **self.environment},
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=log if stdout is None else stdout,
            stderr=log,
        )

    def processes(self, name: str) -> list[int]:
        """Processes of this host by their name."""
        here = _process_namespace(self._pid)
        return [
            process.pid
            for process in psutil.process_iter(["name"])
            if process.info["name"] == name and _process_namespace(process.pid) == here
        ]

    def run(self, *command: str | Path, seconds: float = 180.0, user: str = "root") -> None:
        """Run a command to its end, which must be a good one."""
        code = self.start(*command, user=user).wait(seconds)
        log = self.root / f"{self.name}-{Path(command[0]).name}.log"
        assert code == 0, log.read_text(errors="replace")[-3000:]

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Connections of this thread start on the host, within the block."""
        libc = ctypes.CDLL(None, use_errno=True)
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.net}", os.O_RDONLY)
        try:
            assert libc.setns(there, _NEW_NET) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            assert libc.setns(here, _NEW_NET) == 0
            os.close(here)
            os.close(there)


def _process_namespace(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:  # it has ended
        return None


def hosts_are_allowed() -> bool:
    """Whether this user may make hosts, and the servers are installed."""
    tools = ("ip", "unshare", "nsenter", "runuser", "pgbouncer")
    return os.geteuid() == 0 and all(map(shutil.which, tools)) and initdb() is not None


def initdb() -> Path | None:
    """The newest `initdb` of the system."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1] if found else None


@contextmanager
def two_hosts(
    root: Path, environment: Mapping[str, str], disks: Mapping[Path, Path]
) -> Iterator[tuple[Host, Host]]:
    """Hosts `nodea` (10.77.0.1) and `nodeb` (10.77.0.2), ended with the block.

    disks: folders of `nodeb` alone, by where it sees them.
    """
    a = Host("nodea", "10.77.0.1", root, dict(environment))
    b = Host("nodeb", "10.77.0.2", root, dict(environment), dict(disks))
    made: list[str] = []
    try:
        for host in (a, b):
            _do("ip", "netns", "add", host.net)
            made.append(host.net)
            _do("ip", "-n", host.net, "link", "set", "lo", "up")
        _do("ip", "link", "add", "cable", "netns", a.net, "type", "veth",
            "peer", "name", "cable", "netns", b.net)  # fmt: skip
        for host in (a, b):
            _do("ip", "-n", host.net, "addr", "add", f"{host.address}/24", "dev", "cable")
            _do("ip", "-n", host.net, "link", "set", "cable", "up")
            host.boot()
        yield a, b
    finally:
        for host in (a, b):
            host.kill()
        for net in made:
            _do("ip", "netns", "delete", net)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process of a host with -9, and those that it started."""
    inside = psutil.Process(process.pid).children(recursive=True)
    for one in inside:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait(30)
    psutil.wait_procs(inside, 30)
