"""The whole graph on real weights: Dagster runs, Parquet, DuckDB, MLflow, nothing mocked."""

import json
import sys

import mlflow
import polars as pl
import pytest

from steer_assets import cli
from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.paths import SQL
from steer_assets.pipeline import freshness
from steer_assets.storage import lineage
from steer_assets.storage.database import warehouse
from steer_assets.storage.layout import partition_name
from steer_assets.storage.schema import nullable, table_statements, view_statements
from tests.e2e.conftest import LAYERS, MODEL, STUDY, TRAITS, World

pytestmark = pytest.mark.slow

#: One scorer has nobody to agree with and no judge; shares need an effect of v to be shares of;
#: the model writes no section of thinking.
MAY_BE_EMPTY = {
    "efficacy_ratios",
    "effect_correlations",
    "judge_validation",
    "sampling_noise",
    "scorer_agreement",
    "thinking_sections",
}


def versions(world: World) -> dict[tuple[str, str], str]:
    found = {}
    for stage in STAGES.values():
        for key in freshness.materialised(world.layout, stage):
            record = lineage.read_record(world.layout, stage.name, key)
            assert record is not None
            found[stage.name, partition_name(key)] = record.data_version
    return found


def test_every_asset_of_every_partition_is_made(world: World) -> None:
    made = set(world.first.made)
    for stage in STAGES.values():
        assert any(name == stage.name for name, _ in made), stage.name
    assert len(made) == 1 + 2 * len(TRAITS) + 16 * len(TRAITS) + 2
    assert not world.first.fresh


def test_every_table_has_rows_for_every_trait_and_no_gaps(world: World) -> None:
    for table in table_statements():
        rows = warehouse.query(world.layout, f'SELECT * FROM "{table}"')
        if rows.is_empty() and table in MAY_BE_EMPTY:
            continue
        assert len(rows), table
        if "trait" in rows.columns and table in MAY_BE_EMPTY:
            assert set(rows["trait"]) <= set(TRAITS), table
        elif "trait" in rows.columns and table not in ("artifact_lineage", "current_lineage"):
            assert set(rows["trait"]) == set(TRAITS), table
        for column in rows:
            if column.name not in nullable(table):
                assert column.null_count() == 0, (table, column.name)
            if column.dtype.is_float():
                assert column.drop_nulls().is_finite().all(), (table, column.name)


def test_every_view_answers(world: World) -> None:
    for view in view_statements():
        rows = warehouse.query(world.layout, f'SELECT * FROM "{view}"')
        assert len(rows) or view in ("v_stale_artifacts", "v_interference"), view


def test_the_scorer_is_certain_enough_for_verdicts(world: World) -> None:
    floor = catalog.study(STUDY).scoring.auroc_floor
    low = warehouse.query(world.layout, "SELECT auroc_low FROM scorer_validation")["auroc_low"]
    assert (low > floor).all()


def test_nothing_is_stale_after_a_run(world: World) -> None:
    stale = warehouse.query(world.layout, "SELECT * FROM v_stale_artifacts")
    assert stale.is_empty(), stale


def test_no_row_is_dropped(world: World) -> None:
    texts = warehouse.query(world.layout, "SELECT * FROM generations")
    controlled = texts.filter(pl.col("protocol") == "controlled")
    counts = controlled.group_by("trait", "vector_id", "alpha").len()["len"]
    # prompts of the smoke study, or those of its first look, two samples each
    assert set(counts) <= {16, 12}
    unsteered = controlled.filter(vector_id="none")
    assert len(unsteered) == counts.max()
    switched = texts.filter(pl.col("protocol") != "controlled")
    counts = switched.group_by("trait", "protocol", "vector_id", "alpha").len()["len"]
    assert set(counts) == {6}
    prompted = warehouse.query(world.layout, "SELECT * FROM prompted_scores")
    assert len(prompted) == len(switched)
    scores = warehouse.query(world.layout, "SELECT * FROM classifier_scores")
    assert len(scores) == len(texts)
    assert texts.select("trait", "generation_id").is_unique().all()


def test_reports_show_their_figures(world: World) -> None:
    for trait in TRAITS:
        page = world.layout.pair_file("reports", MODEL, trait, ".html").read_text()
        assert page.count("<svg") >= 8
        assert "http://" not in page.replace("http://www.w3.org", "")
    index = (world.layout.root / "reports" / "index.html").read_text()
    assert f"{MODEL}/sentiment.html" in index


def test_mlflow_has_a_parent_per_run_and_a_child_per_artifact_all_closed(world: World) -> None:
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{world.layout.tracking_database}")
    experiment = client.get_experiment_by_name("steer-assets")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    parents = {r.info.run_id for r in runs if "mlflow.parentRunId" not in r.data.tags}
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == parents
    made = {(r.data.tags["asset"], r.info.run_name.split()[-1]) for r in children}
    assert set(world.first.made) <= made
    report = next(r for r in children if r.data.tags["asset"] == "equivalence_reports")
    blocks = client.get_metric_history(report.info.run_id, "efficacy/minilm")
    assert {metric.step for metric in blocks} == set(LAYERS)
    assert [f.path for f in client.list_artifacts(report.info.run_id)] != []
    (decoded,) = (r for r in children if r.data.tags["asset"] == "generations")
    assert decoded.data.params["rows"] == "shared"
    assert decoded.data.params["linear_kernel"] in ("oneDNN packed", "torch")


def test_verdicts_trace_back_to_the_catalog(world: World) -> None:
    query = (SQL / "examples" / "trace_a_verdict.sql").read_text()
    rows = warehouse.query(world.layout, query)
    assert {"prompt_sets", "model_snapshot", "generations"} <= set(rows["input_asset_key"])
    assert "traits/sentiment.yaml" in set(rows["input_partition"])


def test_a_second_run_computes_nothing_and_shows_verdicts(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = versions(world)
    traits = [f"--trait={trait}" for trait in TRAITS]
    words = ["steer", "run", "--model", MODEL, *traits, "--study", STUDY, "--json"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert sorted((row["trait"], row["layer"]) for row in rows) == [
        (trait, layer) for trait in TRAITS for layer in LAYERS
    ]
    assert "0 artifacts made" in said.err
    assert versions(world) == before
