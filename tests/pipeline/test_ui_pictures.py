"""Pictures of tables in the metadata of a materialisation."""

import pytest

from steer_assets.assets import STAGES
from steer_assets.pipeline import ui_metadata
from steer_assets.pipeline.stage import Produced, Rows
from steer_assets.reporting.figures import thumbnails
from steer_assets.storage import garbage
from steer_assets.storage.lineage import InputVersion
from steer_assets.storage.schema import columns
from tests.pipeline.pictures import KEY, is_png
from tests.storage import synthetic


def test_a_picture_kept_as_a_file_is_not_in_the_event(run, monkeypatch, tmp_path):
    frame = synthetic.frame("classifier_scores", *({"score": 0.1 * i} for i in range(30)))
    produced = Produced([Rows("classifier_scores", frame)])
    stage = STAGES["classifier_scores"]
    inside = ui_metadata.describe(stage, run, produced)["plot"].md_str
    monkeypatch.setenv("STEER_THUMBNAILS", "files")
    monkeypatch.setenv("STEER_REPORTS_URL", "https://reports.example")
    shown = ui_metadata.describe(stage, run, produced)["plot"].md_str
    model, trait = KEY.values()
    place = f"{model}/{trait}/thumbnails/classifier_scores.png"
    assert shown == f"![classifier scores](https://reports.example/{place})"
    assert len(shown) < len(inside) / 20
    file = run.layout.root / "reports" / place
    assert is_png(file.read_bytes())
    # `steer gc` takes it for what it is: removed with its artifact, and not before.
    monkeypatch.setattr(garbage, "SETTLED_S", -1.0)
    dimensions = {"classifier_scores": stage.dimensions}
    assert [w.why for w in garbage.find(run.layout, dimensions, [])] == ["its artifact is gone"]
    synthetic.write(run.layout, stage.name, KEY, {})
    synthetic.record(run.layout, stage.name, KEY, [InputVersion("code", "x", "1")])
    assert garbage.find(run.layout, dimensions, []) == []


@pytest.mark.parametrize("table", sorted(thumbnails._DRAWINGS))
def test_every_picture_can_be_drawn_and_is_small(table: str):
    rows = [
        {"layer": k, "index": k, "alpha": 0.5 * k, "kl": 0.1 * k, "environment": "pooled",
         "kind": "fisher", "at": "unsteered", "reference_id": "none", "n_tokens": k,
         "score": 0.1 * k, "singular_value": 1.0 / k}
        for k in range(1, 8)
    ]  # fmt: skip
    known = columns(table)
    frame = synthetic.frame(table, *({c: v for c, v in row.items() if c in known} for row in rows))
    png = thumbnails.thumbnail(table, frame)
    assert png is not None
    assert is_png(png)
    assert len(png) < 30_000
    assert thumbnails.thumbnail(table, frame.clear()) is None


def test_a_picture_that_fails_leaves_the_result_alone(run, monkeypatch, caplog):
    def broken(*_):
        raise ValueError("no ink")

    monkeypatch.setattr(thumbnails, "thumbnail", broken)
    frame = synthetic.frame("classifier_scores", {"score": 0.5})
    shown = ui_metadata.describe(
        STAGES["classifier_scores"], run, Produced([Rows("classifier_scores", frame)])
    )
    assert shown["dagster/row_count"] == 1
    assert "plot" not in shown
    assert "no picture of classifier_scores: no ink" in caplog.text
