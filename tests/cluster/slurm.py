"""Slurm of one node on a host: Debian's `slurmctld`, `slurmd` and `munged`."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path

from tests.cluster.cluster import wait_for
from tests.cluster.hosts import Host

_CONF = """\
ClusterName=steer
SlurmctldHost={name}({address})
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
NodeName={name} NodeAddr={address} CPUs=2 State=UNKNOWN
PartitionName=all Nodes={name} Default=YES State=UP
"""
#: Where there is no hierarchy of control groups, `slurmd` needs an empty folder in its place.
_CGROUP = "CgroupPlugin=cgroup/v1\nCgroupMountpoint={folder}/cgroup\n"


def is_installed() -> bool:
    """Whether Slurm's daemons and commands are there."""
    return all(map(shutil.which, ("slurmctld", "slurmd", "sbatch", "munged")))


class Slurm:
    """Slurm on `host`, which ends with the host."""

    def __init__(self, host: Host) -> None:
        self.host, folder = host, host.root / "slurm"
        for name in ("state", "spool", "cgroup"):
            (folder / name).mkdir(parents=True)
        places = {"name": host.name, "address": host.address, "folder": folder}
        (folder / "slurm.conf").write_text(_CONF.format(**places))
        (folder / "cgroup.conf").write_text(_CGROUP.format(**places))
        host.environment["SLURM_CONF"] = str(folder / "slurm.conf")
        self._authenticate(folder)
        host.start("slurmctld", "-D")
        host.start("slurmd", "-D", "-N", host.name)
        wait_for("Slurm's node is idle", 60, lambda: "idle" in self.say("sinfo", "-h", "-o", "%T"))

    def _authenticate(self, folder: Path) -> None:
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        self.host.start(
            "munged", "--foreground", "--force", f"--key-file={key}",
            *(f"--{name}-file={folder}/munge.{name}" for name in ("log", "pid", "seed")),
            f"--socket={folder}/munge.socket",
        )  # fmt: skip
        wait_for("munge answers", 20, (folder / "munge.socket").exists)

    def say(self, *command: str | Path) -> str:
        """What a command of Slurm prints; nothing where it fails."""
        started = self.host.start(*command, stdout=subprocess.PIPE)
        return started.communicate(timeout=30)[0].decode()

    def submit(self, *options: str, script: Path) -> str:
        """The number of a new job."""
        number = self.say("sbatch", "--parsable", *options, script).strip()
        assert number.isdecimal(), number
        return number

    def state(self, job: str) -> str:
        """Of a job, e.g. `RUNNING`; empty once Slurm has forgotten it."""
        return self.say("squeue", "-h", "-j", job, "-o", "%T").strip()
