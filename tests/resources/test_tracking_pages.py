"""`make mlflow` names the page of the project's runs."""

import sqlite3
from contextlib import closing
from pathlib import Path

from steer_assets.resources.tracking import EXPERIMENT
from steer_assets.resources.tracking_pages import charts_page, experiment_page
from steer_assets.storage.layout import Layout
from tests.databases import empty_databases

SERVER = "http://127.0.0.1:5000"


def test_it_is_the_page_of_the_experiment(tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    store.write_bytes(Layout(empty_databases()).tracking_database.read_bytes())
    with closing(sqlite3.connect(store)) as opened:
        opened.execute("DELETE FROM experiments WHERE name = ?", [EXPERIMENT])
        opened.execute("INSERT INTO experiments (experiment_id, name) VALUES (7, ?)", [EXPERIMENT])
        opened.commit()
    assert experiment_page(SERVER, store) == f"{SERVER}/#/experiments/7/runs"
    assert charts_page(SERVER, store) == (
        f"{SERVER}/#/experiments/7/runs"
        "?searchFilter=tags.asset+%3D+%22equivalence_reports%22&compareRunsMode=CHART"
    )


def test_without_a_store_it_is_that_of_the_server(tmp_path: Path) -> None:
    assert experiment_page(SERVER, tmp_path / "none.db") == SERVER
    assert charts_page(SERVER, tmp_path / "none.db") == SERVER
    broken = tmp_path / "broken.db"
    broken.write_text("no database")
    assert experiment_page(SERVER, broken) == SERVER
