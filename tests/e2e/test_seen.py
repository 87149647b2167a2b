"""User-visible results of a real run: the UI, exported figures, a notebook, the cookbook."""

import sys
import time

import dagster as dg
import pytest

import steer_assets
from steer_assets import cli
from steer_assets.assets import STAGES
from steer_assets.automation.runner import instance
from steer_assets.paths import SQL
from steer_assets.pipeline import column_lineage
from steer_assets.storage.database import warehouse
from tests.e2e.conftest import LAYERS, MODEL, World
from tests.sizes import FULL
from tests.timings import slowness

pytestmark = pytest.mark.slow


def test_the_ui_is_told_columns_counts_and_where_to_read_on(world: World) -> None:
    with instance() as found:
        for stage in STAGES.values():
            event = found.get_latest_materialization_event(dg.AssetKey(stage.name))
            assert event is not None
            assert event.asset_materialization is not None
            told = event.asset_materialization.metadata
            table = column_lineage.main_table(stage.name)
            assert told["dagster/table_name"].value == f"steer.main.{table}"
            names = {column.name for column in told["dagster/column_schema"].schema.columns}
            assert told["dagster/row_count"].value > 0, stage.name
            if stage.needs:
                traced = told["dagster/column_lineage"].column_lineage.deps_by_column
                assert set(traced) <= names
            assert str(told["preview"].value).startswith("| ")
            if table != "models":
                assert "data:image/png;base64," in str(told["plot"].value), stage.name
            assert "/#/experiments/" in str(told["mlflow"].value)
            if stage.group == "reports":
                assert str(told["report in mlflow"].value).endswith(".html")
        spectra = found.get_latest_materialization_event(dg.AssetKey("svd_spectra"))
        assert f"rank covariance at {LAYERS[0]}" in spectra.asset_materialization.metadata


def test_figures_are_drawn_again_in_seconds(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some of them, and in full all: fonts are embedded in each PDF by itself."""
    folder = world.layout.pair_file("reports", MODEL, "sentiment", "") / "figures"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    names = sorted({path.stem for path in folder.iterdir()})
    asked = names if FULL else ["forest", *names[:2]]
    for path in folder.iterdir():
        if path.stem in asked:
            path.unlink()
    used = time.process_time()
    words = [] if FULL else [f"--figure={name}" for name in asked]
    monkeypatch.setattr(sys, "argv", ["steer", "figures", "--trait", "sentiment", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert time.process_time() - used < (20 if FULL else 6) * slowness()
    drawn = {path.name: path.read_bytes() for path in folder.iterdir()}
    pdf = {name for name in drawn if name.endswith(".pdf")}
    assert pdf == {f"{name}.pdf" for name in asked}
    assert {name: drawn[name] for name in drawn.keys() - pdf} == before
    assert "forest.pdf" in capsys.readouterr().out


def test_the_results_open_in_a_notebook(world: World) -> None:
    results = steer_assets.open_warehouse(world.layout.root)
    assert results.table("v_alpha_curve", trait="sentiment").height > 0
    v = results.vectors(MODEL, "sentiment")[f"L{LAYERS[0]}.base"]
    lazy = results.activations(MODEL, "sentiment")[LAYERS[0]]
    assert lazy.shape[1] == len(v) == 576
    assert results.figure("forest", MODEL, "sentiment").data.height > 0


def test_every_example_answers_on_real_rows(world: World) -> None:
    answered = {}
    for path in sorted((SQL / "examples").glob("*.sql")):
        answered[path.stem] = len(warehouse.query(world.layout, path.read_text()))
    silent = {name for name, rows in answered.items() if not rows}
    assert silent <= {
        "what_is_out_of_date",
        "which_scorers_disagree",  # one scorer
        "do_two_traits_interfere",  # one trait
        "which_texts_have_no_answer",  # no section of thinking
        "how_strong_are_the_others_beside_v",  # needs a clear effect of v
        "which_switch_decides",
        *(() if FULL else ("how_many_prompts_would_decide",)),  # needs some effect of v
    }
