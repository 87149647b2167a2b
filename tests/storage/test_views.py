from collections.abc import Sequence

import polars as pl
import pytest

from steer_assets.paths import SQL
from steer_assets.storage.database.syncing import sync
from steer_assets.storage.database.warehouse import answer, connect, query
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import InputVersion, freshness
from steer_assets.storage.schema import view_statements
from tests.storage import synthetic

EXAMPLES = {path.stem: path.read_text() for path in sorted((SQL / "examples").glob("*.sql"))}
#: These are empty if everything is up to date.
SILENT = {"v_stale_artifacts", "what_is_out_of_date"}

ASSET = "prompt_sets"
KEY = {"trait": "formality"}
CODE = InputVersion("code", "all", "1")
FILE = InputVersion("catalog/formality.yaml", "all", "c1")
STUDY = InputVersion("study", "prompts", "s1")


@pytest.fixture(scope="module")
def full(synced) -> Layout:
    return synced


@pytest.fixture(scope="module")
def ask(full, _empty):
    """Answers of the database of all parts and of that of none: opening one takes 20 ms."""
    with (
        connect(full.database, read_only=True) as every,
        connect(_empty.database, read_only=True) as none,
    ):
        yield lambda question: (answer(every, question), answer(none, question))


@pytest.mark.parametrize("name", [*view_statements(), *EXAMPLES])
def test_every_view_and_example_answers(ask, name):
    found, of_nothing = ask(EXAMPLES.get(name, f"FROM {name}"))
    assert of_nothing.is_empty()
    assert found.is_empty() == (name in SILENT)
    assert all(column.dtype != pl.Null for column in found)


def test_v_effects_has_both_margins_in_one_row(full):
    rows = query(full, "FROM v_effects")
    assert rows.height == 2 * 2 * len(synthetic.VECTORS) * len(synthetic.TRAITS)
    assert set(rows["verdict_sd"]) == set(rows["verdict_efficacy"]) == {"inconclusive"}
    key = ["trait", "comparison", "vector_id", "alpha"]
    assert rows.select(key).is_unique().all()


def test_v_null_space_puts_the_kinds_side_by_side(full):
    rows = query(full, "FROM v_null_space")
    assert rows.height == len(synthetic.TRAITS)
    assert rows.null_count().sum_horizontal().item() == 0


def test_v_protocol_comparison_has_a_row_for_each_switch_and_says_which_decides(full):
    rows = query(full, "FROM v_protocol_comparison WHERE conclusion = 'orthogonal_irrelevance'")
    assert rows.height == 2 * len(synthetic.TRAITS)
    assert set(rows["as_published"]) == {0.1}
    assert set(rows["controlled"]) == {0.8}
    decides = set(rows.select("switch", "without", "decides").iter_rows())
    assert decides == {("prompt_included", 0.7, True), ("unmatched_norm", 0.1, False)}


def test_a_conclusion_that_was_not_measured_is_null_not_a_number(full):
    rows = query(full, "FROM v_protocol_comparison WHERE conclusion = 'alpha_robustness'")
    assert rows.height == len(synthetic.TRAITS)
    assert set(rows["finding_controlled"]) == {"not measured"}
    assert set(rows["switch"]) == {"no_baseline"}
    for column in ("as_published", "controlled", "without"):
        assert set(rows[column]) == {None}


def test_v_lineage_keeps_the_newest_only(empty):
    synthetic.write(empty, ASSET, KEY, {})
    synthetic.record(empty, ASSET, KEY, [CODE, FILE], "old")
    synthetic.record(empty, ASSET, KEY, [CODE, FILE, STUDY], "new")
    sync(empty)
    rows = query(empty, "FROM v_lineage")
    assert set(rows["data_version"]) == {"new"}
    assert set(rows["input_asset_key"]) == {source.asset_key for source in (CODE, FILE, STUDY)}
    assert query(empty, "SELECT count(*) FROM artifact_lineage").item() == 5


def _expected(
    now: Sequence[InputVersion], problem: str = "", partition: str = "formality"
) -> pl.DataFrame:
    names = ["asset_key", "partition", "input_asset_key", "input_partition"]
    rows = [(ASSET, partition, i.asset_key, i.partition, i.data_version, problem) for i in now]
    schema = dict.fromkeys([*names, "input_data_version", "problem"], pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


NEW_CODE = InputVersion("code", "all", "2")
NEW_STUDY = InputVersion("study", "prompts", "s2")
NEW_FILE = InputVersion("catalog/formality.yaml", "all", "c2")
EXTRA = InputVersion("external/mine", "all", "e1")


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ([CODE, FILE, STUDY], []),
        ([NEW_CODE, FILE, STUDY], ["code changed: code all"]),
        ([CODE, FILE, NEW_STUDY], ["study changed: study prompts"]),
        ([CODE, NEW_FILE, STUDY], ["input changed: catalog/formality.yaml all"]),
        ([CODE, FILE, STUDY, EXTRA], ["new input: external/mine all"]),
        ([CODE, FILE], ["input is gone: study prompts"]),
        (
            [NEW_CODE, NEW_FILE, STUDY],
            ["code changed: code all", "input changed: catalog/formality.yaml all"],
        ),
    ],
)
def test_v_stale_artifacts_says_why_and_agrees_with_freshness(empty, now, why):
    synthetic.write(empty, ASSET, KEY, {})
    synthetic.record(empty, ASSET, KEY, [CODE, FILE, STUDY])
    sync(empty, expected_inputs=_expected(now))
    rows = query(empty, "FROM v_stale_artifacts")
    assert rows["why"].to_list() == why
    assert set(rows["partition"]) <= {"formality"}
    state = freshness(empty, ASSET, KEY, now)
    assert state.fresh == (not why)
    assert len(state.reasons) == len(why)


def test_v_stale_artifacts_says_what_is_wrong_with_a_file(empty):
    synthetic.write(empty, ASSET, KEY, {})
    synthetic.record(empty, ASSET, KEY, [CODE, FILE])
    sync(empty, expected_inputs=_expected([CODE, FILE], problem="x.parquet is missing"))
    rows = query(empty, "SELECT asset_key, partition, why FROM v_stale_artifacts").rows()
    assert rows == [(ASSET, "formality", "x.parquet is missing")]


def test_artifacts_that_nobody_expects_anything_of_are_not_called_stale(empty):
    for trait in ("formality", "sentiment"):
        synthetic.write(empty, ASSET, {"trait": trait}, {})
        synthetic.record(empty, ASSET, {"trait": trait}, [CODE])
    sync(empty, expected_inputs=_expected([NEW_CODE], partition="sentiment"))
    assert query(empty, "SELECT partition FROM v_stale_artifacts").rows() == [("sentiment",)]


def test_v_kl_prediction_is_exact_where_the_law_is(full):
    rows = query(full, "FROM v_kl_prediction")
    assert rows["step_at_most"].unique().sort().to_list() == [0.05, 0.1]
    assert rows["median_abs_log_ratio"].max() < 1e-12
    assert rows["holds"].all()


def test_v_saturation_is_the_growth_over_a_doubling(full):
    growth = query(full, "FROM v_saturation")["growth_per_doubling"]
    assert growth.to_list() == pytest.approx([0.1] * 3 * len(synthetic.TRAITS))
