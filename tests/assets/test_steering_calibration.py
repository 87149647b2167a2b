"""Where v steers: the dose of equal divergence, the block that carries the trait, and the split."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.assets.vectors import _sweep, _working_point
from steer_assets.assets.vectors.steering_calibration import _stored
from steer_assets.catalog.layers import candidate_layers
from steer_assets.geometry.kl import distances
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.measurements.logits import next_token_logits
from steer_assets.pipeline import working_point
from steer_assets.pipeline.design import prompt_selection
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.layout import Layout
from tests.assets.conftest import LAYER, Tiny

#: A token of the planted block, as `steered` writes it.
HERE = "[here]"


class _Counting:
    """A score of texts that only the planted token moves."""

    name = "planted"

    def score(self, texts: Sequence[str]) -> list[float]:
        return [3.0 * (HERE in text) + 0.1 * (len(text) % 7) for text in texts]


@pytest.fixture
def world(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A copy of the tiny world, whose scorer needs no encoder."""
    root = Path(shutil.copytree(tiny.layout.root, tmp_path / "data"))
    monkeypatch.setattr(_sweep, "_scorer", lambda _run: _Counting())
    return Tiny(Layout(root), tiny.study, tiny.models)


@pytest.fixture
def automatic(world: Tiny) -> Tiny:
    """The same, under a study that leaves the blocks to calibration."""
    layers = world.study.layers.model_copy(update={"steer": ("auto",)})
    return Tiny(world.layout, world.study.model_copy(update={"layers": layers}), world.models)


def _with(text: _sweep._Text | None, end: str) -> _sweep._Text:
    assert text is not None
    return dataclasses.replace(text, read=text.read + end)


def _plant(monkeypatch: pytest.MonkeyPatch, block: int | None, broken: Sequence[int] = ()) -> None:
    """Texts steered at `block` hold the planted token; those at `broken` are improbable noise."""
    plain = _sweep.Sweep._written

    def written(
        self: _sweep.Sweep, points: Sequence[_sweep.Point], n: int
    ) -> list[list[_sweep._Text | None]]:
        texts = plain(self, points, n)
        for row, point in enumerate(points, start=1):
            layer = self.layers[point.block]
            if layer == block:
                texts[row] = [_with(text, f" {HERE}") for text in texts[row]]
            if layer in broken:
                texts[row] = [_with(text, f" {HERE}" + " x" * 40) for text in texts[row]]
        return texts

    monkeypatch.setattr(_sweep.Sweep, "_written", written)


def test_the_dose_of_a_block_has_the_target_divergence(automatic: Tiny) -> None:
    """Measured again from the stored alpha, by the distances that other stages use."""
    automatic.make("activation_caches")
    automatic.make("steering_calibration")
    rows = automatic.rows("steering_calibration").filter(iso_multiple=1.0)
    assert rows["layer"].to_list() == candidate_layers(4) == [1, 2]
    run = automatic.run("steering_calibration")
    prompts = prompt_selection.calibration_tests(run.rows("prompt_sets"), run.study)
    ids = prompt_selection.encoded(automatic.models.lm, prompts)
    for layer, alpha, reason in rows.select("layer", "alpha", "reason").rows():
        assert "KL" not in reason
        arms = [(), (Addition(layer, 0, alpha),)]
        table = _stored(run, layer).values[None]
        found = next_token_logits(automatic.models.lm, ids, arms, table)
        kl = [distances(logits, logits[0])["kl"][1] for _, logits in found]
        assert np.quantile(kl, 0.95) == pytest.approx(1.0, rel=0.02)


def test_the_planted_block_is_chosen(automatic: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    _plant(monkeypatch, LAYER)
    automatic.make("activation_caches")
    automatic.make("steering_calibration")
    rows = automatic.rows("steering_calibration")
    chosen = rows.filter(pl.col("rank") > 0)
    assert chosen.select("layer", "chosen", "iso_multiple", "steerable", "reason").rows() == [
        (LAYER, "chosen", 1.0, True, "")
    ]
    assert set(rows.filter(layer=LAYER)["iso_multiple"].round(2)) == {0.5, 1.0}
    assert not rows.filter(pl.col("layer") != LAYER)["steerable"].any()


def test_a_block_that_breaks_the_texts_is_not_chosen(
    automatic: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(monkeypatch, LAYER, broken=[1])
    automatic.make("activation_caches")
    automatic.make("steering_calibration")
    rows = automatic.rows("steering_calibration")
    other = rows.filter(layer=1)
    assert other["steerable"].all()
    assert not other["fluent"].any()
    assert rows.filter(pl.col("rank") > 0)["layer"].to_list() == [LAYER]


def test_where_no_block_is_steerable_it_is_said(
    automatic: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant(monkeypatch, None)
    automatic.make("activation_caches")
    automatic.make("steering_calibration")
    chosen = automatic.rows("steering_calibration").filter(pl.col("rank") > 0)
    assert set(chosen["chosen"]) == {"fallback"}
    assert chosen["reason"].str.contains("no block").all()


def test_no_verdict_prompt_is_read(automatic: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is encoded, and by the ids that are stored."""
    automatic.make("activation_caches")
    read: set[str] = set()
    plain = automatic.models.lm.encode

    def encode(texts: Sequence[str], **options: object) -> list[list[int]]:
        read.update(texts)
        return plain(texts, **options)

    monkeypatch.setattr(automatic.models.lm, "encode", encode)
    automatic.make("steering_calibration")
    run = automatic.run("generations")
    table = run.rows("prompt_sets")
    verdicts = prompt_selection.generation_tests(table, run.study)
    assert read
    assert not read & set(verdicts["text"])
    split = dict(automatic.rows("calibration_prompts").group_by("split").agg("prompt_id").rows())
    assert set(split["verdict"]) == set(verdicts["prompt_id"])
    assert not set(split["verdict"]) & set(split["calibration"])
    assert len(split["calibration"]) == run.study.calibration.prompts


def test_what_is_given_by_hand_is_measured_and_stays(world: Tiny) -> None:
    world.make("steering_calibration")
    rows = world.rows("steering_calibration")
    assert set(rows["layer"]) == {LAYER}
    assert rows.filter(chosen="given")["alpha"].to_list() == [1.0]
    assert (rows["rank"] == 0).all()


def test_too_few_prompts_are_left(world: Tiny, automatic: Tiny) -> None:
    """By hand the study goes on without; a choice cannot be made on the prompts of verdicts."""
    counts = world.run("prompt_sets").rows("prompt_sets").filter(role="test")["environment"]
    every = {row["environment"]: row["count"] for row in counts.value_counts().to_dicts()}
    for one in (world, automatic):
        prompts = one.study.prompts.model_copy(update={"test": every})
        one.study = one.study.model_copy(update={"prompts": prompts})
    world.make("steering_calibration")
    assert world.rows("steering_calibration").is_empty()
    automatic.make("activation_caches")
    with pytest.raises(_working_point.NoCalibrationError, match="leave 0 test prompts"):
        automatic.make("steering_calibration")


def test_without_a_scorer_nothing_is_chosen(
    world: Tiny, automatic: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sweep, "_scorer", lambda _run: None)
    world.make("steering_calibration")
    assert world.rows("steering_calibration").is_empty()
    automatic.make("activation_caches")
    with pytest.raises(_working_point.NoCalibrationError, match="no scorer"):
        automatic.make("steering_calibration")


@pytest.mark.parametrize("doses", ["auto", "by hand"])
def test_later_stages_work_at_what_was_chosen(
    automatic: Tiny, monkeypatch: pytest.MonkeyPatch, doses: str
) -> None:
    """And another choice, not other numbers of the same one, makes them stale."""
    if doses == "auto":
        arms = tuple(a.model_copy(update={"alphas": (), "layers": None})
                     for a in automatic.study.generation.arms)  # fmt: skip
        generation = automatic.study.generation.model_copy(update={"arms": arms})
        logits = automatic.study.logits.model_copy(update={"alphas": ()})
        update = {"generation": generation, "logits": logits}
        automatic.study = automatic.study.model_copy(update=update)
    _plant(monkeypatch, LAYER)
    automatic.make("activation_caches")
    automatic.make("steering_calibration")
    row = automatic.rows("steering_calibration").filter(pl.col("rank") > 0).row(0, named=True)
    for stage in ("covariance_matrices", "svd_spectra", "behavioral_spectra", "vector_families"):
        automatic.make(stage)
    automatic.make("logit_distances")
    vectors = automatic.rows("steering_vectors")
    assert set(vectors.filter(pl.col("family") != "none")["layer"]) == {LAYER}
    expected = {row["alpha"]} if doses == "auto" else {0.5, 1.0}
    assert set(automatic.rows("logit_distances").filter(reference_id="none")["alpha"]) == expected
    settled = working_point.settled(automatic.run("generations"))
    assert settled.steer_layers() == [LAYER]
    assert settled.study.behaviour.steered_alpha == (row["alpha"] if doses == "auto" else 1.0)

    def chosen_input() -> list[object]:
        run = automatic.run("generations")
        return list(working_point.inputs(run.layout, STAGES["generations"], run.key, run.study))

    before = chosen_input()
    path = automatic.layout.part("steering_calibration", automatic.run("generations").key)
    stored = pl.read_parquet(path)
    write_part(path, stored.with_columns(pl.col("effect") + 1))
    assert chosen_input() == before
    write_part(path, stored.with_columns(rank=1 - pl.col("rank")))
    assert chosen_input() != before
