"""The whole graph on real weights: Dagster runs, Parquet, DuckDB, MLflow, nothing mocked."""

import json
import sys

import mlflow
import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from steer_assets import cli
from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.paths import SQL
from steer_assets.pipeline import freshness
from steer_assets.storage import lineage
from steer_assets.storage.database import warehouse
from steer_assets.storage.files import hdf5
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


def test_whole_texts_notice_a_shorter_step_than_their_first_token(world: World) -> None:
    """Where the next token notices one at all, among the steps that were taken."""
    query = (
        "SELECT layer, direction, null_space, observer, reached, measured_radius "
        "FROM v_equivalence_radius WHERE tolerance = 0.01"
    )
    rows, index = warehouse.query(world.layout, query), ["layer", "direction", "null_space"]
    both = rows.pivot("observer", index=index, values="measured_radius")
    assert {"", "covariance", "fisher", "jacobian", "text"} == set(both["null_space"])
    noticed = rows.filter("reached", observer="next token")
    known = both.drop_nulls().join(noticed, on=index, how="semi")
    assert {"", "covariance", "fisher", "jacobian"} == set(known["null_space"])
    assert (known["whole text"] < 1.1 * known["next token"]).all(), known


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


@pytest.mark.parametrize("trait", TRAITS)
def test_numpy_gets_the_same_from_the_stored_activations(world: World, trait: str) -> None:
    path = world.layout.pair_file("activations", MODEL, trait, ".h5")
    arrays = hdf5.read_arrays(path)
    ids = [name.decode() for name in arrays["prompt_ids"]]
    neutral = set(
        warehouse.query(
            world.layout,
            f"SELECT prompt_id FROM prompt_sets WHERE trait = '{trait}' AND role = 'test'",
        )["prompt_id"]
    )
    own = np.array([name in neutral for name in ids])
    moments = hdf5.read_arrays(world.layout.pair_file("moments", MODEL, trait, ".h5"))
    vectors = load_file(world.layout.pair_file("vectors", MODEL, trait, ".safetensors"))
    spectra = warehouse.query(
        world.layout, f"SELECT * FROM svd_spectra WHERE trait = '{trait}' ORDER BY \"index\""
    )
    for layer in LAYERS:
        h = arrays[f"last/{layer}"].astype(np.float64)
        expected = np.cov(h[own], rowvar=False)
        stored = moments[f"covariance/{layer}/pooled"]
        assert np.abs(stored - expected).max() <= 1e-5 * np.abs(expected).max()
        sigma = np.linalg.svd(h[own] - h[own].mean(0), compute_uv=False) / np.sqrt(own.sum() - 1)
        rows = spectra.filter((pl.col("layer") == layer) & (pl.col("environment") == "pooled"))
        assert np.abs(rows["singular_value"].to_numpy()[: len(sigma)] - sigma).max() <= (
            1e-5 * sigma[0]
        )
        positive = h[[name.endswith("-positive") and name.startswith(trait) for name in ids]]
        negative = h[[name.endswith("-negative") and name.startswith(trait) for name in ids]]
        v = (positive - negative).mean(axis=0)
        assert np.abs(vectors[f"L{layer}.base"] - v).max() <= 1e-5 * np.abs(v).max()


def test_the_fisher_form_predicts_small_steps(world: World) -> None:
    arms = (
        "SELECT trait, layer, vector_id, step_norm, "
        "abs(ln(avg(predicted_kl) / avg(kl))) AS log_ratio FROM dose_response "
        "WHERE reference_id = 'none' AND relative_step <= 0.05 + 1e-6 GROUP BY ALL"
    )
    rows = warehouse.query(
        world.layout,
        f"SELECT count(*) AS n_arms, median(log_ratio) AS m FROM ({arms}) GROUP BY trait, layer",
    )
    assert len(rows) == 2 * len(TRAITS)
    assert (rows["n_arms"] > 20).all()
    assert (rows["m"] < 0.1).all()


def test_no_null_fraction_lies_below_its_floor_and_prompts_are_counted(world: World) -> None:
    rows = warehouse.query(world.layout, "SELECT * FROM null_spaces")
    claimed = rows.filter(
        ~pl.col("estimator").is_in(["marchenko_pastur", "gavish_donoho"]) | (pl.col("value") > 0)
    )
    assert claimed.filter(pl.col("null_fraction") < pl.col("sampling_floor") - 1e-9).is_empty()
    # Two prompts see few of 576 directions in the averaged forms as well.
    forms = rows.filter(
        pl.col("kind") != "covariance", pl.col("estimator") == "participation_ratio"
    )
    assert len(forms) > 0
    assert (forms["sampling_floor"] > 0.5).all()
    tokens = rows.filter(pl.col("environment") == "all_tokens")
    assert set(tokens["layer"]) == set(LAYERS)
    tests = warehouse.query(
        world.layout, "SELECT trait, count(*) AS n FROM prompt_sets WHERE role = 'test' GROUP BY 1"
    )
    counted = tokens.select("trait", n="n_samples").unique().sort("trait")
    assert counted.rows() == tests.sort("trait").rows()


def test_v_has_no_energy_by_construction_and_stands_beside_random_vectors(world: World) -> None:
    rows = warehouse.query(
        world.layout,
        "SELECT * FROM null_energies WHERE kind = 'covariance' AND vector_id LIKE '%.base'",
    )
    assert len(rows) == 2 * len(TRAITS)
    # On the prompts it is made of it would have 2e-6 in the null space.
    assert (rows["energy"] > 0.05).all()
    assert (rows["random_low"] < rows["random_mean"]).all()
    assert (rows["random_mean"] < rows["random_high"]).all()


def test_orthogonal_vectors_are_orthogonal_and_norms_matched(world: World) -> None:
    rows = warehouse.query(world.layout, "SELECT * FROM steering_vectors WHERE family <> 'none'")
    norm = rows.filter(pl.col("family") == "base").select(
        "trait", "layer", pl.col("norm").alias("base_norm")
    )
    rows = rows.join(norm, on=["trait", "layer"])
    orthogonal = rows.filter(pl.col("family") == "orthogonal")
    assert len(orthogonal) == 2 * 2 * len(TRAITS)  # seeds, layers
    assert (orthogonal["cosine_to_base"].abs() < 1e-5).all()
    matched = rows.filter(
        pl.col("family").is_in(["orthogonal", "base_plus_orthogonal_matched", "pca", "logistic"])
    )
    assert ((matched["norm"] / matched["base_norm"] - 1).abs() < 1e-5).all()


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
