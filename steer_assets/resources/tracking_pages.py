"""Addresses of the project's pages in MLflow, which otherwise opens on a page of welcome."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

from steer_assets.paths import data_folder
from steer_assets.resources.tracking import EXPERIMENT


def experiment_page(server: str, database: Path) -> str:
    """Page of the experiment's runs; the server's own where the store has none or is unreadable."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as store:
            found = store.execute(
                "SELECT experiment_id FROM experiments WHERE name = ?", [EXPERIMENT]
            ).fetchone()
    except sqlite3.Error:
        found = None
    return f"{server}/#/experiments/{found[0]}/runs" if found else server


def charts_page(server: str, database: Path) -> str:
    """Charts of all reports: efficacy of v and distance of v + v_perp by block, a line a run."""
    page = experiment_page(server, database)
    reports = {"searchFilter": 'tags.asset = "equivalence_reports"', "compareRunsMode": "CHART"}
    return page if page == server else f"{page}?{urlencode(reports)}"


if __name__ == "__main__":
    found = data_folder() / "mlflow.db"
    print(f"runs: {experiment_page(sys.argv[1], found)}")
    print(f"models and traits compared: {charts_page(sys.argv[1], found)}")
