import io

import polars as pl
import pytest

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.tables.formats import cell, folded, format_table
from steer_assets.reporting.tables.paper import PAPER_TABLES

FRAME = pl.DataFrame(
    {
        "vector": ["v + v⊥", "a|b_c & <i>"],
        "effect": [-0.123456789, 2.0],
        "n": [28, -1],
        "note": [None, "line\nbreak \x1b[0m"],
    }
)


def test_markdown_keeps_its_columns_whatever_the_text():
    lines = format_table(FRAME, "md").splitlines()
    assert lines[0] == "| vector | effect | n | note |"
    assert lines[1] == "|---|---:|---:|---|"
    assert lines[2] == "| v + v⊥ | −0.123 | 28 | – |"
    assert lines[3] == r"| a\|b\_c & \<i\> | 2 | −1 | line break ⟨ESC⟩\[0m |"


def test_latex_is_escaped_and_aligned():
    latex = format_table(FRAME, "latex")
    assert latex.startswith("\\begin{tabular}{lrrl}\n\\toprule\n")
    assert r"v + v$_\perp$ & $-$0.123 & 28 & – \\" in latex
    assert r"a\textbar{}b\_c \& \textless{}i\textgreater{} & 2 & $-$1" in latex


def test_csv_keeps_numbers_exactly():
    back = pl.read_csv(io.StringIO(format_table(FRAME, "csv")))
    assert back["effect"].to_list() == FRAME["effect"].to_list()


def test_html_is_escaped():
    html = format_table(FRAME, "html")
    assert "<td>a|b_c &amp; &lt;i&gt;</td>" in html
    assert '<td class="number">−0.123</td>' in html


def test_unknown_format_names_the_known_ones():
    with pytest.raises(ValueError, match="'xlsx'; known: md, latex, csv, html"):
        format_table(FRAME, "xlsx")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1234567.0, "1.23e+06"),
        (float("nan"), "–"),
        (float("-inf"), "−∞"),
        (True, "yes"),
    ],
)
def test_cells(value: object, shown: str):
    assert cell(value) == shown


def paper_tables(evidence: Evidence) -> dict[str, pl.DataFrame]:
    return {name: table.rows(evidence) for name, table in PAPER_TABLES.items()}


def test_main_tables_hold_the_rows_of_the_evidence(evidence: Evidence):
    tables = paper_tables(evidence)
    assert set(tables) == {
        "verdicts", "effects", "families", "efficacy", "alpha", "ratios", "environments",
        "heterogeneity", "correlations", "seeds", "noise",
        "null_spaces", "null_energy", "persistence", "radii", "protocols", "switches", "scorers",
        "agreement", "fluency", "vectors",
    }  # fmt: skip
    assert tables["verdicts"]["layer"].to_list() == [15, 20]
    assert tables["alpha"]["alpha"].unique().sort().to_list() == [0.5, 1.0, 2.0]
    bare = tables["null_spaces"].filter(pl.col("sampling_floor").is_null())
    assert set(bare["estimator"]) == {"sigma_1pct", "sigma_5pct", "entropy_rank"}
    assert "covariance" not in set(bare["kind"])
    assert not (tables["null_spaces"]["sampling_floor"] == 0).any()
    assert all(format_table(t, "latex").endswith("\\end{tabular}\n") for t in tables.values())


def test_intervals_are_folded_for_print_and_others_stay():
    frame = pl.DataFrame({
        "layer": [15, 20], "effect": [0.523, None], "effect_low": [-0.31, None],
        "effect_high": [0.7349, None], "power_low": [0.1, 0.2],
    })  # fmt: skip
    shown = folded(frame)
    assert shown.columns == ["layer", "effect", "power_low"]
    assert shown["effect"].to_list() == ["0.523 [−0.31, 0.735]", None]


def test_a_verdict_stands_beside_both_null_fractions_and_their_floors(evidence: Evidence):
    row = PAPER_TABLES["verdicts"].rows(evidence).row(0, named=True)
    assert row["verdict"] == "equivalent"
    assert row["floor_covariance"] == pytest.approx(1 - 239 / 576)
    assert (row["null_fisher"], row["floor_fisher"]) == (0.71, 0.66)


def test_main_tables_of_nothing_keep_their_columns(evidence: Evidence, changed):
    full, empty = paper_tables(evidence), paper_tables(changed(**dict.fromkeys(evidence.tables)))
    assert {n: t.columns for n, t in full.items()} == {n: t.columns for n, t in empty.items()}
    assert all(t.is_empty() for t in empty.values())
