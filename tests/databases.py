"""Empty databases of MLflow and Dagster for worlds of tests to copy."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from steer_assets.paths import REPOSITORY
from steer_assets.storage.layout import Layout


@cache
def empty_databases() -> Path:
    """Empty databases of MLflow and Dagster, made once: their migrations take five seconds."""
    import dagster as dg
    import mlflow

    root = Path(tempfile.mkdtemp(prefix="steer-databases-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    home = root / "home"
    home.mkdir()
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", home)
    tracking = Layout(root).tracking_database
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{tracking}").search_experiments()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs_count()
    return root
