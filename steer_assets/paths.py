"""Locations of the repository's SQL and catalog, and of the data folder."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parent
SQL = REPOSITORY / "sql"
CATALOG = PACKAGE / "catalog"


def data_folder() -> Path:
    """`STEER_DATA_DIR`, or `data/` in the repository; absolute."""
    return Path(os.environ.get("STEER_DATA_DIR") or REPOSITORY / "data").resolve()


def depot_address() -> str:
    """`STEER_DEPOT`, the address of the depot; empty without one."""
    return os.environ.get("STEER_DEPOT", "").strip()
