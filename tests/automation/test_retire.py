"""Retiring a model removes everything of it, and nothing of others."""

from __future__ import annotations

import dagster as dg
import mlflow
import pytest

from steer_assets.automation import intake
from steer_assets.automation.retire import ModelInUseError, retire
from steer_assets.automation.runner import instance
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import UnknownNameError
from steer_assets.pipeline import partitions
from steer_assets.storage.database import warehouse
from steer_assets.storage.schema import table_statements
from tests.finished import run_tiny
from tests.tiny import MODEL, SCORER, World

pytestmark = pytest.mark.faults


def test_everything_of_the_model_goes_together(finished: World) -> None:
    layout = finished.layout
    with instance() as found:
        retired = retire(layout, found, MODEL)
        assert found.get_dynamic_partitions(partitions.MODEL_PARTITIONS_NAME) == []
        left = [run.tags for run in found.get_runs()]
        assert all(MODEL not in str(tags) for tags in left)
        assert left  # the runs of the trait and of the summary stay
    assert retired.n_runs == 2
    assert MODEL not in catalog.model_keys()
    names = {p.relative_to(layout.root).as_posix() for p in layout.root.rglob(f"*{MODEL}*")}
    assert names == {
        f"catalog/studies/{MODEL}.yaml",
        f"catalog/scorers/{SCORER}.yaml",
        f"catalog/retired/{MODEL}.json",
    }
    for table in table_statements():
        rows = warehouse.query(layout, f'SELECT * FROM "{table}"')
        for column in {"model", "partition", "input_partition"} & set(rows.columns):
            values = {part for value in rows[column].unique() for part in value.split("|")}
            assert MODEL not in values, (table, column)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{layout.tracking_database}")
    experiment = client.get_experiment_by_name("steer-assets")
    assert experiment is not None
    tracked = client.search_runs([experiment.experiment_id], max_results=5000)
    assert tracked  # those of the trait stay
    assert MODEL not in {run.data.tags.get("model") for run in tracked}
    assert len(warehouse.query(layout, "SELECT * FROM prompt_sets"))
    assert len(warehouse.query(layout, "SELECT * FROM scorer_validation"))


def test_a_retired_model_may_come_back(finished: World) -> None:
    path = catalog.user_catalog() / "models" / f"{MODEL}.yaml"
    text = path.read_text()
    with instance() as found:
        retire(finished.layout, found, MODEL)
    assert MODEL not in intake.look(None).usable
    path.write_text(text)
    assert MODEL in intake.look(None).usable  # another file: its time is another
    made = {stage for stage, _ in run_tiny(finished).made}
    assert {"model_snapshot", "generations", "identifiability_summary"} <= made
    assert "prompt_sets" not in made


def test_a_model_that_nobody_knows_is_named(finished: World) -> None:
    with instance() as found, pytest.raises(UnknownNameError, match="did you mean tiny"):
        retire(finished.layout, found, "tinny")


def test_a_model_at_work_is_left_alone(finished: World) -> None:
    with instance() as found:
        run = next(run for run in found.get_runs() if MODEL in str(run.tags))
        found.delete_run(run.run_id)
        found.add_run(run.with_status(dg.DagsterRunStatus.STARTED))
        with pytest.raises(ModelInUseError, match=run.run_id):
            retire(finished.layout, found, MODEL)
    assert MODEL in catalog.model_keys()
