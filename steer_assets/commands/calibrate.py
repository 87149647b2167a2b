"""`steer calibrate`: at which block, and how strongly, before a whole study is run."""

import logging
from typing import TYPE_CHECKING, Annotated

import numpy as np
import polars as pl
import typer

from steer_assets.catalog import catalog
from steer_assets.catalog.layers import AUTO
from steer_assets.catalog.working_point import Calibration
from steer_assets.commands import terminal
from steer_assets.commands.options import Json, Model, Trait
from steer_assets.paths import data_folder
from steer_assets.storage.layout import Layout

if TYPE_CHECKING:
    from steer_assets.assets.vectors._sweep import Direction
    from steer_assets.catalog.studies import Study
    from steer_assets.pipeline.stage import StageRun

_MARKS = {"chosen": "<- chosen", "fallback": "<- best of none", "given": "given", "no": ""}


def calibrate(
    model: Model,
    trait: Trait,
    study: Annotated[str, typer.Option(help="Study whose settings are taken.")] = "",
    json: Json = False,
) -> None:
    """Sweep blocks and doses of v, and say where it moves the score most per nat.

    Every block is tried at the dose where the next token moves by one nat, in the 95th percentile
    over prompts, and at half of it. No verdict of the study reads these prompts. Nothing is stored
    but the snapshot and the prompts; a study with `layers.steer: auto` makes the same choice, by as
    many prompts and texts as its `calibration` says. Without --study, these are the defaults.
    """
    from steer_assets.resources.active_study import default_study

    catalog.model_entry(model)
    catalog.trait(trait)
    chosen = _open(catalog.study(study or default_study()), as_it_is=bool(study))
    layout = Layout(data_folder())
    from steer_assets.automation.runner import materialise_inputs

    with terminal.progress():
        materialise_inputs(layout, model, trait, chosen)
        rows = _swept(layout, model, trait, chosen)
    terminal.show(_shown(rows), as_json=json, title=f"Where does v steer {trait} in {model}?")
    for reason in rows.filter(pl.col("rank") > 0)["reason"].unique():
        if reason:
            terminal.say(f"note      {reason}")
    if not json:
        terminal.say("by hand   layers: {steer: [...]} and alphas: [...] in a study")
        terminal.say("by itself layers: {steer: auto}, and alphas: auto of generation.arms")


def _open(study: "Study", *, as_it_is: bool) -> "Study":
    """The study with its blocks left to calibration; with the defaults of that, or as it is.

    `quick` measures the blocks that it names by few texts, too few to choose by.
    """
    layers = study.layers.model_copy(update={"steer": (AUTO,)})
    calibration = study.calibration if as_it_is else Calibration()
    return study.model_copy(update={"layers": layers, "calibration": calibration})


def _swept(layout: Layout, model: str, trait: str, study: "Study") -> pl.DataFrame:
    from steer_assets.assets.vectors._working_point import calibrated
    from steer_assets.pipeline.stage import StageRun
    from steer_assets.resources.language_models import LanguageModels
    from steer_assets.storage.shards import Shards

    name, key = "steering_calibration", {"model": model, "trait": trait}
    log, shards = logging.getLogger(__name__), Shards(layout, name, key, "")
    run = StageRun(name, key, study, layout, LanguageModels(), shards, log)
    return calibrated(run, _directions(run), {})


def _directions(run: "StageRun") -> dict[int, "Direction"]:
    """v of every candidate, from the contrast prompts alone: the caches hold all prompts."""
    from steer_assets.assets.vectors.steering_calibration import direction
    from steer_assets.lm.measurements.capture import capture_last
    from steer_assets.pipeline.design import prompt_selection

    model = run.language_model()
    pairs = prompt_selection.contrast_pairs(run.rows("prompt_sets"), run.study)
    found = capture_last(
        model,
        prompt_selection.encoded(model, pairs),
        run.steer_layers(),
        on_progress=run.progress("contrast pairs"),
    )
    positive = (pairs["polarity"] == "positive").to_numpy()
    return {
        layer: direction(own[positive].astype(np.float64), own[~positive].astype(np.float64))
        for layer, own in found.items()
    }


def _shown(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        block="layer",
        alpha="alpha",
        **{
            "of 1 nat dose": pl.col("iso_multiple").round(2),
            "effect, SD": pl.col("effect"),
            "at least": pl.col("effect_low"),
            "KL p95, nats": pl.col("next_token_kl_p95"),
            "effect per nat": pl.col("effect_per_nat"),
            "perplexity ratio": pl.col("perplexity_ratio"),
            "fluent": pl.when("fluent").then(pl.lit("yes")).otherwise(pl.lit("no")),
            "": pl.col("chosen").replace_strict(_MARKS),
        },
    )
