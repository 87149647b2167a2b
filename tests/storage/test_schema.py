import polars as pl
import pytest

from steer_assets.storage import schema
from steer_assets.storage.schema import SchemaError, conform
from tests.storage import synthetic

#: SPEC 6: columns on which users' SQL depends. Tables may have further columns.
PROMISED = {
    "models": "source revision sha256 architecture n_layers hidden_size vocab_size n_parameters "
    "dtype",
    "prompt_sets": "prompt_id environment role pair_id polarity text turns raw sha256",
    "activation_caches": "layer site position n_prompts hidden_size dtype path bytes sha256",
    "covariance_matrices": "layer environment n_samples trace max_eigenvalue condition_number path",
    "svd_spectra": "layer environment index singular_value explained_variance "
    "cumulative_variance noise_edge",
    "behavioral_spectra": "layer kind at index singular_value",
    "null_spaces": "layer kind estimator threshold ambient_dim rank null_dim null_fraction "
    "sampling_floor heldout_null_energy n_samples",
    "steering_vectors": "vector_id family layer seed norm cosine_to_base null_energy_covariance "
    "null_energy_fisher sha256 path",
    "logit_distances": "vector_id reference_id alpha environment prompt_id l2 kl js "
    "top1_agreement top10_overlap predicted_kl",
    "generations": "generation_id protocol vector_id alpha environment prompt_id sample seed "
    "prompt text n_tokens finish_reason token_ids log_probability least_token_log_probability",
    "scorer_validation": "scorer n_positive n_negative auroc auroc_low auroc_high",
    "classifier_scores": "generation_id scorer score",
    "equivalence_tests": "protocol scorer comparison vector_id alpha environment n_prompts "
    "n_pairs effect cohens_d hedges_g ci_low ci_high margin p_difference p_equivalence "
    "p_difference_adjusted p_equivalence_adjusted power verdict",
    "family_tests": "protocol scorer family null_space layer alpha environment margin_kind n_seeds "
    "n_inside share_inside share_low share_high rms_effect rms_upper p_equivalence p_difference "
    "p_equivalence_adjusted p_difference_adjusted power n_prompts_needed verdict reason",
    "equivalence_reports": "protocol layer efficacy efficacy_low efficacy_high verdict "
    "null_fraction_fisher n_equivalent n_different n_inconclusive report_path",
    "artifact_lineage": "asset_key partition data_version input_asset_key input_partition "
    "input_data_version mlflow_run_id path bytes created_at",
}
UNPARTITIONED_BY_TRAIT = {"models"}
UNPARTITIONED_BY_MODEL = {"prompt_sets", "scorer_validation"}


@pytest.mark.parametrize("table", PROMISED)
def test_every_promised_column_is_there(table):
    names = set(schema.columns(table))
    shared = {"run_id", "code_version"}
    shared |= {"model"} - ({"model"} if table in UNPARTITIONED_BY_MODEL else set())
    shared |= {"trait"} - ({"trait"} if table in UNPARTITIONED_BY_TRAIT else set())
    assert set(PROMISED[table].split()) | shared <= names


def test_every_promised_view_is_there_after_those_it_reads():
    views = list(schema.view_statements())
    promised = "model_trait_summary null_space alpha_curve effects lineage stale_artifacts"
    assert {f"v_{name}" for name in [*promised.split(), "protocol_comparison"]} <= set(views)
    assert views.index("v_effects") < views.index("v_alpha_curve")
    assert views.index("v_lineage") < views.index("v_stale_artifacts")


def test_a_measure_that_may_be_missing_says_what_that_means():
    for table, statement in schema.table_statements().items():
        body = statement[statement.index("CREATE TABLE") : statement.rindex(")")]
        rows = [line for line in body.splitlines()[1:] if line.strip()]
        assert rows, table
        assert all("NOT NULL" in row or "null: " in row for row in rows), table


def test_conform_orders_and_casts():
    frame = synthetic.frame("classifier_scores", {"score": 0.25})
    shuffled = frame.select(reversed(frame.columns)).with_columns(pl.col("score").cast(pl.Float32))
    assert conform(shuffled, "classifier_scores").equals(frame)
    whole = synthetic.frame("svd_spectra", {"layer": 3})
    assert conform(whole.with_columns(pl.lit(3.0).alias("layer")), "svd_spectra").equals(whole)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop("layer"), "svd_spectra: missing columns layer"),
        (lambda f: f.with_columns(pl.lit(1).alias("extra")), "svd_spectra: unknown columns extra"),
        (lambda f: f.with_columns(pl.lit("deep").alias("layer")), "svd_spectra: .*deep"),
        (lambda f: f.with_columns(pl.lit(2**40).alias("layer")), "svd_spectra: .*1099511627776"),
        (lambda f: f.with_columns(pl.lit(1.5).alias("layer")), "layer holds fractions"),
        (lambda f: f.with_columns(pl.lit(float("nan")).alias("layer")), "svd_spectra: .*"),
    ],
)
def test_conform_refuses_what_does_not_fit(change, said):
    with pytest.raises(SchemaError, match=said):
        conform(change(synthetic.frame("svd_spectra", {})), "svd_spectra")


def test_lists_are_cast_and_their_fractions_refused():
    frame = synthetic.frame("generations", {"token_ids": [5, 0, 49151]}, {"token_ids": []})
    assert frame.schema["token_ids"] == pl.List(pl.Int32)
    for wide in (pl.List(pl.Int64), pl.List(pl.Float64)):
        assert conform(frame.with_columns(pl.col("token_ids").cast(wide)), "generations").equals(
            frame
        )
    fractions = frame.with_columns(pl.Series("token_ids", [[1.0], [1.5]]))
    with pytest.raises(SchemaError, match="token_ids holds fractions"):
        conform(fractions, "generations")


def test_an_unknown_table_is_named():
    with pytest.raises(SchemaError, match="no table 'nope'"):
        schema.columns("nope")
