"""Example queries: each begins with its question, and those that compute are right."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from steer_assets.paths import REPOSITORY, SQL
from steer_assets.storage import lineage
from steer_assets.storage.database.syncing import sync
from steer_assets.storage.database.warehouse import query
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.layout import Layout
from steer_assets.storage.lineage import InputVersion
from tests.storage import synthetic

EXAMPLES = {path.stem: path.read_text() for path in sorted((SQL / "examples").glob("*.sql"))}
KEY = {"model": synthetic.MODEL, "trait": "formality"}


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_a_file_begins_with_its_question_and_is_in_the_cookbook(name: str):
    first, *rest = EXAMPLES[name].splitlines()
    assert first.startswith("-- ")
    assert len(first) > 30
    assert rest
    cookbook = (REPOSITORY / "docs" / "pages" / "cookbook.md").read_text()
    assert f"sql/examples/{name}.sql" in cookbook


def _at(layout: Layout, asset: str, when: datetime) -> None:
    """Date the newest record of an artifact."""
    path = layout.part("artifact_lineage", {"asset_key": asset, "trait": "formality"})
    frame = pl.read_parquet(path)
    newest = pl.col("created_at") == pl.col("created_at").max()
    moved = pl.when(newest).then(pl.lit(when.replace(tzinfo=None))).otherwise("created_at")
    write_part(path, frame.with_columns(moved.cast(pl.Datetime("us")).alias("created_at")))


def test_what_changed_since_last_week_names_the_inputs(empty: Layout):
    asset, key = "prompt_sets", {"trait": "formality"}
    synthetic.write(empty, asset, key, {})
    now = datetime.now(UTC)
    steps = (("v1", "c1", timedelta(days=20)), ("v1", "c1", timedelta(days=2)),
             ("v2", "c2", timedelta(hours=1)))  # fmt: skip
    for version, code, ago in steps:
        made_from = [InputVersion("code", "x", code), InputVersion("study", "seed", "s")]
        synthetic.record(empty, asset, key, made_from, version)
        _at(empty, asset, now - ago)
    sync(empty)
    rows = query(empty, EXAMPLES["what_changed_since_last_week"])
    found = rows.select("asset_key", "content", "inputs_changed").rows()
    assert found == [(asset, "changed", "code x"), (asset, "the same", "")]
    assert lineage.read_record(empty, asset, key) is not None


def test_texts_stand_beside_each_other(synced: Layout):
    rows = query(synced, EXAMPLES["read_the_texts"])
    assert rows.height == len(synthetic.TRAITS)
    assert rows["unsteered_score"].null_count() == 0


def test_broken_texts_are_measured_against_unsteered_ones(empty: Layout):
    shared = {"protocol": "controlled"}
    arms = (("u", "none", 0.0), ("a", "L1.base", 1.0), ("b", "L1.base", 2.0))
    texts = [{**shared, "generation_id": g, "vector_id": v, "alpha": a} for g, v, a in arms]
    synthetic.write(empty, "generations", KEY, *texts)
    perplexity = {"u": 10.0, "a": 15.0, "b": 80.0}
    rows = [{"generation_id": g, "perplexity": p, "repetition": 0.1} for g, p in perplexity.items()]
    synthetic.write(empty, "fluency", KEY, *rows)
    sync(empty)
    answer = query(empty, EXAMPLES["where_do_texts_break"])
    assert answer.select("alpha", "times_unsteered").rows() == [(2.0, 8.0), (1.0, 1.5), (0.0, 1.0)]


def test_the_arm_with_most_texts_that_lack_an_answer_comes_first(empty: Layout):
    shared = {"protocol": "controlled", "alpha": 1.0}
    texts = [{**shared, "generation_id": f"{v}{n}", "vector_id": v} for v in "ab" for n in (0, 1)]
    synthetic.write(empty, "generations", KEY, *texts)
    found = [
        {"generation_id": name, "section": section, "answer": answer}
        for name, section, answer in (("a0", "closed", "yes"), ("a1", "none", "no"),
                                      ("b0", "open", None), ("b1", "closed", None))
    ]  # fmt: skip
    rows = synthetic.frame("thinking_sections", *({**KEY, **row} for row in found))
    write_part(empty.part("thinking_sections", KEY), rows, ("answer",))
    sync(empty)
    answer = query(empty, EXAMPLES["which_texts_have_no_answer"])
    counts = answer.select("vector_id", "texts", "never_closes", "without_answer").rows()
    assert counts == [("b", 2, 1, 2), ("a", 2, 0, 0)]


def test_a_verdict_that_depends_on_the_scorer_comes_first(empty: Layout):
    shared = {"protocol": "controlled", "layer": 15}
    for trait, second in (("formality", "equivalent"), ("sentiment", "different")):
        key = {**KEY, "trait": trait}
        synthetic.write(
            empty, "equivalence_reports", key,
            {**shared, "scorer": "a", "verdict": "equivalent"},
            {**shared, "scorer": "b", "verdict": second},
        )  # fmt: skip
    sync(empty)
    rows = query(empty, EXAMPLES["does_the_verdict_depend_on_the_scorer"])
    assert rows["n_verdicts"].to_list() == [2, 1]
    assert rows["verdicts"][0] == "a: equivalent, b: different"
