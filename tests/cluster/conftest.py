"""Where the servers of a cluster keep their files."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """Not below pytest's folder, which the user `postgres` may not enter."""
    root = Path(tempfile.mkdtemp(prefix="steer-cluster-", dir="/tmp"))
    root.chmod(0o755)
    yield root
    if "STEER_KEEP" not in os.environ:
        shutil.rmtree(root)
