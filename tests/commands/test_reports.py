"""`steer figures` and `steer table`: from stored rows only, as files and as text."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import polars as pl
import pytest

import steer_assets
from steer_assets.reporting.tables.paper import PAPER_TABLES
from steer_assets.storage.files.parquet import write_part
from tests.commands.conftest import KEY, MODEL, TRAIT
from tests.tiny import few_figures


def _files(answer) -> list[Path]:
    return [Path(json.loads(line)["file"]) for line in answer.out.splitlines()]


def test_figures_are_remade_with_the_data_behind_them(stored, steer):
    with few_figures("radii"):
        answer = steer("figures", "--model", MODEL, "--trait", TRAIT, "--json")
    assert (answer.code, answer.err) == (0, "")
    files = _files(answer)
    folder = stored.root / "reports" / MODEL / TRAIT / "figures"
    assert {file.parent for file in files} == {folder}
    assert sorted(files) == sorted(folder.iterdir())
    assert len(files) == 2 * 3  # two figures here, all of them in tests/e2e
    for file in files:
        if file.suffix == ".svg":
            assert "<text" in file.read_text()
            assert ET.parse(file).getroot().get("aria-label")
    with (folder / "radii.csv").open() as data:
        directions = {row["direction"] for row in csv.DictReader(data)}
    assert "null (Fisher)" in directions


def test_one_figure_goes_where_it_is_wanted_and_sweeps_nothing(stored, steer, tmp_path):
    (tmp_path / "mine.svg").write_text("mine")
    answer = steer("figures", "--figure", "forest", "--to", tmp_path, "--json")
    assert {file.name for file in _files(answer)} == {"forest.svg", "forest.pdf", "forest.csv"}
    assert (tmp_path / "mine.svg").read_text() == "mine"


def test_a_figure_that_has_nothing_to_show_is_named_with_its_reason(stored, steer):
    stored.part("scorer_agreement", KEY).unlink()
    answer = steer("figures", "--figure", "agreement", "--json")
    assert answer.out == ""
    assert "agreement: No agreement between scorers is stored." in answer.err


def test_what_is_out_of_date_is_shown_as_stored_and_said(stored, steer):
    assert steer("table", "verdicts").err == ""
    record = stored.part("artifact_lineage", {"asset_key": "equivalence_reports", **KEY})
    frame = pl.read_parquet(record).with_columns(input_data_version=pl.lit("old"))
    write_part(record, frame)
    answer = steer("table", "verdicts")
    assert f"{MODEL}|{TRAIT} is out of date" in answer.err
    assert "equivalent" in answer.out


@pytest.mark.parametrize("name", list(PAPER_TABLES))
def test_every_table_is_printed(stored, steer, name):
    answer = steer("table", name, "--model", MODEL, "--trait", TRAIT)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert set(lines[1]) <= set("|-:")
    assert lines[0].count("|") == lines[1].count("|")
    assert (len(lines) > 2) == (name not in {"ratios"})  # the synthetic v has no ratios


def test_tables_keep_numbers_in_csv_and_fold_them_for_print(stored, steer, rows):
    exact = list(csv.DictReader(io.StringIO(steer("table", "verdicts", "--format", "csv").out)))
    stored_efficacy = rows["equivalence_reports"]["efficacy"].to_list()
    assert [float(row["efficacy"]) for row in exact] == stored_efficacy
    assert {"model", "trait", "efficacy_low", "floor_fisher"} <= exact[0].keys()
    latex = steer("table", "verdicts", "--trait", TRAIT, "--format", "latex").out
    assert latex.startswith("\\begin{tabular}")
    assert "efficacy low" not in latex
    assert "trait" not in latex
    assert "<table>" in steer("table", "verdicts", "--format", "html").out
    (first, _) = [json.loads(s) for s in steer("table", "verdicts", "--json").out.splitlines()]
    assert first["efficacy"] == stored_efficacy[0]


def test_names_are_listed_and_near_misses_answered(stored, steer):
    listed = steer("table").out
    assert all(name in listed for name in PAPER_TABLES)
    assert "did you mean verdicts" in steer("table", "verdict").refused()
    assert "did you mean latex" in steer("table", "verdicts", "--format", "latx").refused()
    assert "did you mean forest" in steer("figures", "--figure", "forrest").refused()
    assert "did you mean formality" in steer("figures", "--trait", "formalty").refused()
    assert (
        "there is no report for sentiment yet"
        in steer("table", "alpha", "--trait", "sentiment").refused()
    )


def test_before_the_first_run_nothing_is_promised(steer):
    assert "there is no report for any model and trait yet" in steer("figures").refused()


def test_a_notebook_shows_a_figure_of_a_report(stored, steer):
    assert steer("db", "sync").code == 0
    results = steer_assets.open_warehouse(stored.root)
    figure = results.figure("forest", MODEL, TRAIT)
    assert ET.fromstring(figure._repr_svg_().encode()).tag.endswith("svg")
    assert figure.data.height > 0
    with pytest.raises(ValueError, match="did you mean forest"):
        results.figure("forst", MODEL, TRAIT)
    stored.part("fluency", KEY).unlink()
    with pytest.raises(LookupError, match="No fluency of texts is stored"):
        results.figure("fluency", MODEL, TRAIT)
