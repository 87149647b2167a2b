"""Without the cluster profile nothing of the extra `cluster` is imported, and nothing changes."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

from steer_assets.paths import REPOSITORY
from tests.storage.processes import run_python

#: Settings that Dagster's daemon and code server read on the head, and no run does.
HEAD_ONLY = {
    "STEER_AUTOMATION_S",
    "STEER_GPU_GIB",
    "STEER_MODELS_DIR",
    "STEER_RUN_CPUS",
    "STEER_SUMMARY_CRON",
}
_IMPORT_ALL = """
import sys
import steer_assets.cli
import steer_assets.definitions
import steer_assets.notebook
from steer_assets.commands import calibrate, catalogue, gc, reports, run, serve, status, warehouse
from steer_assets.automation import retire, runner
from steer_assets.storage.database import syncing
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
PACKAGES = {"ray", "dagster_ray", "dagster_postgres", "dagster_aws", "obstore", "psycopg2", "boto3"}


def test_no_package_of_the_extra_is_imported_by_default() -> None:
    done = run_python(_IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert "dagster" in imported
    assert imported & PACKAGES == set()


def test_no_package_of_the_extra_is_required() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<\[=>]", one)[0] for one in project["dependencies"]}
    extra = {re.split(r"[<\[=>]", one)[0] for one in project["optional-dependencies"]["cluster"]}
    assert extra == {"dagster-postgres", "dagster-ray", "ray", "dagster-aws", "obstore"}
    assert names & extra == set()


def test_every_package_of_the_extra_is_pinned() -> None:
    pins = dict(
        line.split("==")
        for line in (REPOSITORY / ".constraints.txt").read_text().splitlines()
        if "==" in line
    )
    assert {"dagster-postgres", "dagster-ray", "ray", "dagster-aws", "obstore"} <= pins.keys()
    # Dagster's integrations follow its releases: 1.13.27 belongs to 0.29.27.
    release = pins["dagster"].rpartition(".")[2]
    assert {pins[f"dagster-{name}"].rpartition(".")[2] for name in ("postgres", "aws")} == {release}


def test_the_profile_and_the_default_agree_where_nothing_asks_for_a_difference() -> None:
    profile = yaml.safe_load((REPOSITORY / "deploy/cluster/dagster.yaml").read_text())
    default = yaml.safe_load((REPOSITORY / "dagster_home/dagster.yaml").read_text())
    for section in ("telemetry", "run_retries", "retention", "nux"):
        assert profile[section] == default[section], section


@pytest.mark.parametrize(
    "name", ["head.sh", "dagster.sh", "worker.sh", "worker.sbatch", "environment.sh"]
)
def test_scripts_are_whole(name: str) -> None:
    import subprocess

    script = REPOSITORY / "deploy/cluster" / name
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_setting_that_the_profile_reads_is_in_the_environment() -> None:
    text = (REPOSITORY / "deploy/cluster/dagster.yaml").read_text()
    read = set(re.findall(r"env: (\w+)", text)) | set(re.findall(r"^ +- ([A-Z_]+)$", text, re.M))
    settings = (REPOSITORY / "deploy/cluster/environment.sh").read_text()
    set_there = set(re.findall(r"(\w+)=", settings))
    assert "STEER_PG_HOST" in read
    assert read <= set_there


def test_a_job_has_every_setting_that_a_run_reads() -> None:
    """Ray gives a job no variable of the head's that the profile does not name."""
    profile = yaml.safe_load((REPOSITORY / "deploy/cluster/dagster.yaml").read_text())
    passed = set(profile["run_launcher"]["config"]["ray"]["env_vars"])
    code = "".join(path.read_text() for path in (REPOSITORY / "steer_assets").rglob("*.py"))
    read = set(re.findall(r'environ(?:\.get\(|\[)\s*"(STEER_\w+)"', code))
    read |= set(re.findall(r'_number\("(STEER_\w+)"', code))
    assert {"STEER_DATA_DIR", "STEER_ENGINES", "STEER_ENGINE_CPUS"} <= read
    assert read - HEAD_ONLY <= passed
    assert read >= HEAD_ONLY
