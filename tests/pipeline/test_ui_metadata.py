"""UI metadata of a materialisation."""

import base64
import re

import dagster as dg
import polars as pl
import pytest
from markdown_it import MarkdownIt

from steer_assets.assets import STAGES
from steer_assets.definitions import defs
from steer_assets.pipeline import column_lineage, ui_metadata
from steer_assets.pipeline.stage import Produced, Rows, StageRun
from steer_assets.reporting.safe_text import plain
from steer_assets.storage import lineage
from steer_assets.storage.lineage import InputVersion
from steer_assets.storage.schema import columns, table_statements
from tests.pipeline.pictures import KEY, is_png
from tests.storage import synthetic

#: Columns that locate a row, or that its own stage sets.
OWN = {"run_id", "code_version", "model", "trait"}


@pytest.mark.parametrize("name", list(STAGES))
def test_columns_come_from_columns_that_exist_in_assets_that_are_needed(name: str):
    stage = STAGES[name]
    known = set(columns(column_lineage.main_table(name)))
    for column, origins in ui_metadata.column_lineage(stage).deps_by_column.items():
        assert column in known, column
        assert origins
        for origin in origins:
            upstream = origin.asset_key.to_user_string()
            assert upstream in stage.needs, (column, upstream)
            assert origin.column_name in columns(column_lineage.main_table(upstream))


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if stage.needs])
def test_every_measure_says_where_it_comes_from(name: str):
    traced = set(column_lineage.sources(name))
    measures = {
        column
        for column, dtype in columns(column_lineage.main_table(name)).items()
        if dtype.is_float() and column not in OWN | {"alpha", "target_kl"}
    }
    assert measures <= traced


@pytest.mark.parametrize("table", list(table_statements()))
def test_columns_have_their_types_and_what_the_sql_says_of_them(table: str):
    schema = ui_metadata.column_schema(table)
    assert [c.name for c in schema.columns] == list(columns(table))
    statement = table_statements()[table]
    for column in schema.columns:
        if column.description:
            assert f"-- {column.description}" in statement


def test_comments_are_those_of_their_columns():
    by_name = {c.name: c for c in ui_metadata.column_schema("svd_spectra").columns}
    assert by_name["index"].description == "0 is the largest"
    assert by_name["noise_edge"].description.startswith("Marchenko-Pastur edge")
    assert by_name["environment"].description is None
    assert by_name["singular_value"].type == "Float64"


def test_a_preview_shows_text_and_obeys_none():
    frame = pl.DataFrame(
        {"text": ["<script>x</script> | **b** \x1b[31m\nnext", "y" * 200], "x": 1 / 3}
    )
    lines = ui_metadata.preview(frame).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith(r"| \<script\>x\</script\> \| \*\*b\*\* ⟨ESC⟩\[31m next |")
    assert "| 0.3333 |" in lines[2]
    assert len(lines[3]) < 110


#: Prompts and generated texts that a page, a terminal or a database might obey.
OBEYED = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "<https://evil.example>",
    "https://evil.example www.evil.example me@evil.example",
    "[ref]\n\n[ref]: https://evil.example",
    "a | b | c\n# title\n```\ncode\n~~gone~~",
    "&lt;script&gt; &#60;b&#62; \\<b>",
    "\x1b]0;title\x07 \x9b31m \u202e",
]


@pytest.mark.parametrize("text", OBEYED)
def test_markdown_in_a_text_makes_no_link_image_or_markup(text):
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    shown = ui_metadata.preview(pl.DataFrame({"text": [text], "n": [1]}))
    made = markdown.parse(shown)
    kinds = {token.type for token in made}
    kinds |= {child.type for token in made for child in token.children or []}
    assert kinds <= {
        *(f"{part}_{end}" for part in ("table", "thead", "tbody", "tr", "th", "td")
          for end in ("open", "close")),
        "inline", "text", "text_special",
    }  # fmt: skip
    cells = [token.content for token in made if token.type == "inline"]
    assert cells[:2] == ["text", "n"]
    assert len(cells) == 4
    # GitHub's Markdown makes links of plain addresses too.
    assert not re.search(r"https?://|www\.|\w@\w", shown)
    assert all(character.isprintable() or character == "\n" for character in shown)
    visible = "".join(child.content for token in made for child in token.children or [])
    assert " ".join(plain(text).split())[:80] in visible


def test_metadata_has_counts_columns_ranks_and_numbers(run: StageRun):
    pooled = {"layer": 15, "environment": "pooled"}
    spectra = synthetic.frame(
        "svd_spectra", *({**pooled, "index": i, "singular_value": 9.0 - i} for i in range(5))
    )
    chosen = {**pooled, "at": "unsteered", "estimator": "variance_99", "rank": 81}
    other = {**chosen, "estimator": "stable_rank", "rank": 2}
    elsewhere = {**chosen, "environment": "contrast", "rank": 9}
    spaces = synthetic.frame("null_spaces", chosen, other, elsewhere)
    produced = Produced(
        rows=[Rows("svd_spectra", spectra), Rows("null_spaces", spaces, {"kind": "covariance"})],
        metrics={"trace_15": 2.5},
        metadata={"null spaces": 3},
    )
    shown = ui_metadata.describe(STAGES["svd_spectra"], run, produced)
    assert shown["dagster/row_count"] == 5
    assert shown["rows of null_spaces"] == 3
    assert shown["rank covariance at 15"] == 81
    assert (shown["trace_15"], shown["null spaces"]) == (2.5, 3)
    assert isinstance(shown["dagster/column_lineage"], dg.TableColumnLineage)
    assert "rank" in [c.name for c in shown["columns of null_spaces"].schema.columns]
    dg.MaterializeResult(metadata=shown)  # Dagster takes all of it
    data = shown["plot"].md_str.removeprefix("![svd spectra](data:image/png;base64,").rstrip(")")
    assert is_png(base64.b64decode(data))


def test_links_lead_to_the_report_and_to_the_tracked_run(run, monkeypatch):
    monkeypatch.delenv("STEER_MLFLOW_URL", raising=False)
    links = ui_metadata.tracking_link("3", "abc", "formality.html")
    assert links["mlflow"].url == "http://127.0.0.1:5000/#/experiments/3/runs/abc"
    assert links["report in mlflow"].url.endswith("/runs/abc/artifacts/formality.html")
    monkeypatch.setenv("STEER_MLFLOW_URL", "https://tracking.example/")
    assert ui_metadata.tracking_link("3", "abc")["mlflow"].url.startswith(
        "https://tracking.example/#/"
    )
    assert ui_metadata.tracking_link("3", "") == ui_metadata.tracking_link("", "abc") == {}
    page = run.layout.pair_file("reports", *KEY.values(), ".html")
    stage = STAGES["generations"]
    synthetic.write(run.layout, stage.name, KEY, {})
    synthetic.record(run.layout, stage.name, KEY, [InputVersion("code", "x", "1")])
    record = lineage.read_record(run.layout, stage.name, KEY)
    assert "report" not in ui_metadata.stored(run.layout, stage, KEY, record)
    page.parent.mkdir(parents=True)
    page.write_text("x")
    shown = ui_metadata.stored(run.layout, stage, KEY, record)["report"].url
    assert shown == f"http://127.0.0.1:3001/{KEY['model']}/{KEY['trait']}.html"
    monkeypatch.setenv("STEER_REPORTS_URL", "https://reports.example/")
    shown = ui_metadata.stored(run.layout, stage, KEY, record)["report"].url
    assert shown.startswith("https://reports.example/")


def test_a_result_that_is_handed_on_is_shown_as_well(run: StageRun):
    stage = STAGES["classifier_scores"]
    assert ui_metadata.reused(run.layout, stage, KEY, run.log) == {"reused": True}
    synthetic.write(run.layout, stage.name, KEY, {"score": 0.1}, {"score": 0.2})
    shown = ui_metadata.reused(run.layout, stage, KEY, run.log)
    assert (shown["dagster/row_count"], shown["reused"]) == (2, True)
    assert {"plot", "preview", "dagster/column_schema", "dagster/column_lineage"} <= shown.keys()


def test_columns_are_known_before_anything_is_made():
    graph = defs.resolve_asset_graph()
    for stage in STAGES.values():
        metadata = graph.get(dg.AssetKey(stage.name)).metadata
        table = column_lineage.main_table(stage.name)
        assert metadata["dagster/table_name"] == f"steer.main.{table}"
        assert metadata["dagster/column_schema"] == ui_metadata.column_schema(table)
