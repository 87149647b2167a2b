"""`make demo` says which Python is needed before anything is installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from steer_assets.paths import REPOSITORY

_PRETENDS = """#!/bin/sh
[ "$1" = -c ] || {{ echo "$@" >> {log}; exit 3; }}
exec {python} -c '
import sys
sys.version_info = {version}
exec(sys.argv.pop(1))
' "$2" "$3"
"""


def _setup(folder: Path, version: tuple[int, int, int]) -> tuple[int, str, list[str]]:
    """Exit code of `make setup` with a Python of this version, its words, and what it then ran."""
    log, python = folder / "ran", folder / "python3"
    python.write_text(_PRETENDS.format(log=log, python=sys.executable, version=version))
    python.chmod(0o755)
    command = ["make", "--no-print-directory", "setup", f"PYTHON={python}", f"VENV={folder}/v"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    return done.returncode, done.stderr, log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("version", [(3, 10, 12), (3, 14, 0)])
def test_another_python_is_refused_before_anything_is_installed(tmp_path, version):
    code, said, ran = _setup(tmp_path, version)
    assert code != 0
    assert f"Python 3.11, 3.12 or 3.13 is needed, and {tmp_path}/python3 is" in said
    assert ".".join(map(str, version)) in said
    assert "Traceback" not in said
    assert ran == []
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 13, 2)])
def test_a_python_that_fits_goes_on(tmp_path, version):
    _, said, ran = _setup(tmp_path, version)
    assert "is needed" not in said
    assert ran == [f"-m venv {tmp_path}/v"]
