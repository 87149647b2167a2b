"""What MLflow has of a report: numbers by block and scorer, in the run and in its parent."""

import logging
from pathlib import Path

import mlflow
import polars as pl
import pytest

from steer_assets.resources.tracking import EXPERIMENT, Tracking
from steer_assets.resources.tracking_numbers import numbers
from steer_assets.storage.layout import Layout
from steer_assets.storage.schema import columns
from tests.databases import empty_databases

TAGS = {"asset": "equivalence_reports", "model": "tiny", "trait": "sentiment", "study": "quick"}


def _frame(table: str, *rows: dict[str, object]) -> pl.DataFrame:
    blank = {pl.String: "", pl.Int32: 0, pl.Float64: 0.0}
    schema = columns(table)
    filled = [{n: row.get(n, blank[t.base_type()]) for n, t in schema.items()} for row in rows]
    return pl.DataFrame(filled, schema=schema)


def _report(scorer: str, layer: int, efficacy: float | None, **more: object) -> dict[str, object]:
    about = {"protocol": "controlled", "verdict": "equivalent", "null_fraction_fisher": 0.75}
    return {**about, "scorer": scorer, "layer": layer, "efficacy": efficacy, **more}


def _test(seed: int, d: float, alpha: float = 1.0, **more: object) -> dict[str, object]:
    about: dict[str, object] = {
        "protocol": "controlled",
        "scorer": "minilm",
        "comparison": "against_base",
        "family": "base_plus_orthogonal",
        "environment": "pooled",
        "margin_kind": "sd",
        "verdict": "equivalent",
        "layer": 15,
    }
    return {**about, "vector_id": f"s{seed}", "cohens_d": d, "alpha": alpha, **more}


TABLES = {
    "equivalence_reports": _frame(
        "equivalence_reports",
        _report("minilm", 15, 0.5),
        _report("minilm", 20, 1.5, verdict="different"),
        _report("words", 15, None),
        _report("minilm", 15, 9.0, protocol="reference"),
    ),
    "equivalence_tests": _frame(
        "equivalence_tests",
        _test(0, 0.1),
        _test(1, -0.3),
        _test(0, 7.0, alpha=2.0),
        _test(2, 8.0, verdict="descriptive"),
        _test(2, 9.0, environment="topic_shift"),
    ),
}


def test_every_number_has_its_block_and_its_scorer() -> None:
    found = numbers(TABLES)
    assert found["efficacy/minilm"] == {15: 0.5, 20: 1.5}
    assert "efficacy/words" not in found  # it could not be measured
    assert found["difference from v/minilm"] == {15: 0.3}
    assert found["null fraction/fisher"] == {15: 0.75, 20: 0.75}
    assert found["verdict equivalent/minilm"] == {0: 1.0}
    assert found["verdict different/words"] == {0: 0.0}
    assert numbers({"prompts": pl.DataFrame()}) == {}


def test_the_parent_is_named_by_its_partition_and_has_the_numbers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "mlflow.db"
    store.write_bytes(Layout(empty_databases()).tracking_database.read_bytes())
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path))
    address = f"sqlite:///{store}"
    log = logging.getLogger("test")
    tracking = Tracking(uri=address)
    with tracking.child("0123456789", "equivalence_reports tiny|sentiment", TAGS, log) as child:
        child.record({"a": 1}, {"seconds": 2.0}, [], numbers(TABLES))
    client = mlflow.MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 2
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert parent.info.run_name == "sentiment tiny quick 01234567"
    assert parent.data.tags["trait"] == "sentiment"
    assert "asset" not in parent.data.tags
    for run in runs:
        history = client.get_metric_history(run.info.run_id, "efficacy/minilm")
        assert {metric.step: metric.value for metric in history} == {15: 0.5, 20: 1.5}
    assert "seconds" not in parent.data.metrics
