"""Effects by environment, and by prompt."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.evidence import POOLED, UNSTEERED, Evidence, seeds_shown
from steer_assets.reporting.figures.charts.axes import (
    dodge,
    extent,
    interval_across,
    layers_missing,
    panels,
    zero_line,
)  # fmt: skip
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import MUTED, SERIES, look, y_label

ORDER = ("in_distribution", "topic_shift", "genre_shift", "safety_style")


PAIR = ("base", "base_plus_orthogonal")


def environment_rows(evidence: Evidence) -> pl.DataFrame:
    """Effects of v and v + v_perp (seeds averaged) over unsteered within each environment."""
    rows = evidence.tests("efficacy").filter(
        pl.col("environment") != POOLED,
        pl.col("family").is_in(PAIR),
        evidence.at_headline_dose,
    )
    shown = seeds_shown(rows)["vector_id"].to_list()
    return rows.filter(pl.col("vector_id").is_in(shown)).select(
        "layer",
        "environment",
        "family",
        "vector_id",
        "alpha",
        "n_prompts",
        "effect_sd",
        "low_sd",
        "high_sd",
    )


def environments(evidence: Evidence) -> Figure | Absent:
    """Effect of v and v + v_perp over unsteered, by environment."""
    name, title = "environments", "The same effect under other prompts"
    rows = environment_rows(evidence)
    if rows.is_empty():
        return Absent(name, title, "No comparison within a single environment is stored.")
    layers = sorted(rows["layer"].unique())
    kinds = _ordered(rows["environment"].unique().to_list())

    def draw() -> Canvas:
        figure, grid = panels(
            len(layers), height=0.32 * len(kinds) + 0.5, share_x=True, share_y=True
        )
        for axes, layer in zip(grid, layers, strict=True):
            for k, family in enumerate(PAIR):
                part = rows.filter(pl.col("layer") == layer, pl.col("family") == family)
                y = [kinds.index(e) + dodge(k, 2, 0.3) for e in part["environment"]]
                interval_across(axes, y, part, look(family))
                axes.plot([], [], color=look(family).colour, marker=look(family).marker,
                          label=look(family).label)  # fmt: skip
            zero_line(axes, vertical=True)
            axes.set_title(f"layer {layer}")
            axes.grid(visible=False, axis="y")
        sizes = dict(rows.select("environment", "n_prompts").rows())
        ticks = [f"{e.replace('_', ' ')} ({sizes[e]})" for e in kinds]
        grid[0].set_yticks(range(len(kinds)), ticks)
        grid[0].set_ylim(len(kinds) - 0.5, -0.5)
        figure.supxlabel("effect over unsteered (SD)", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure

    few = extent(rows["n_prompts"])[0]
    return make(
        name,
        title,
        caption=(
            "Effect of v and of v + v⊥ (seeds averaged) over unsteered texts, by kind of prompt, "
            "in standard deviations of the unsteered texts' scores of that kind; the number of "
            f"prompts stands in brackets, bars are {evidence.confidence} intervals over prompts. "
            "Marks that move together from row to row mean that the pair holds up under the shift. "
            f"With as few as {few:g} prompts in a row the intervals are rough, and a row by itself "
            "shows neither that two vectors act alike nor that they differ."
            + layers_missing(evidence, layers)
        ),
        alt=f"Effects of v and v + v⊥ in {len(kinds)} environments at layer "
        f"{', '.join(map(str, layers))}, in standard deviations of the score.",
        data=rows,
        draw=draw,
    )


def prompt_effects(evidence: Evidence) -> pl.DataFrame:
    """Mean score difference from unsteered per prompt: one row per layer, prompt; columns v, other.

    Samples of a prompt are averaged; `other` is v + v_perp of the first seed.
    """
    scores = evidence.table("classifier_scores").filter(pl.col("scorer") == evidence.scorer)
    texts = evidence.table("generations").filter(pl.col("protocol") == "controlled")
    means = (
        texts.join(scores.select("generation_id", "score"), on="generation_id")
        .group_by("vector_id", "alpha", "environment", "prompt_id")
        .agg(pl.col("score").mean())
    )
    plain = means.filter(pl.col("vector_id") == UNSTEERED).select("prompt_id", unsteered="score")
    vectors = evidence.table("steering_vectors").filter(pl.col("family").is_in(PAIR))
    shown = seeds_shown(vectors).select("vector_id", "family", "layer")
    steered = (
        means.filter(evidence.at_headline_dose)
        .join(shown, on="vector_id")
        .join(plain, on="prompt_id")
        .with_columns(effect=pl.col("score") - pl.col("unsteered"))
    )
    key = ["layer", "environment", "prompt_id"]
    base = steered.filter(pl.col("family") == "base").select(*key, v="effect")
    other = steered.filter(pl.col("family") == "base_plus_orthogonal").select(*key, other="effect")
    return base.join(other, on=key).sort(key)


def heterogeneity(evidence: Evidence) -> Figure | Absent:
    """Effect of v + v_perp against effect of v, one mark per prompt."""
    name, title = "prompts", "Prompt by prompt: v against v + v⊥"
    rows = prompt_effects(evidence)
    if rows.is_empty():
        return Absent(
            name,
            title,
            f"No texts scored by {evidence.scorer} of v, v + v⊥ and unsteered together.",
        )
    layers = sorted(rows["layer"].unique())
    kinds = _ordered(rows["environment"].unique().to_list())

    def draw() -> Canvas:
        figure, grid = panels(len(layers), height=2.1, share_x=True, share_y=True)
        for axes, layer in zip(grid, layers, strict=True):
            _scatter(axes, rows.filter(pl.col("layer") == layer), kinds)
            axes.set_title(f"layer {layer}")
        y_label(grid[0], "effect of v + v⊥ (score)")
        figure.supxlabel("effect of v (score)", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure

    shares = [
        f"layer {layer}: v raises the score on {up} of {n} prompts, v + v⊥ on {both}"
        for layer in layers
        for part in [rows.filter(pl.col("layer") == layer)]
        for n, up, both in [(part.height, (part["v"] > 0).sum(), (part["other"] > 0).sum())]
    ]
    return make(
        name,
        title,
        caption=(
            "Each mark is one prompt: how far its texts move from unsteered under v (across) and "
            f"under v + v⊥ (up), in units of the score at {evidence.headline_doses}, "
            "samples averaged. Marks on the dashed line move equally under both; marks left of "
            "or below zero move the wrong way. "
            + "; ".join(shares).capitalize()
            + ". Both axes subtract the same unsteered texts and hold sampling noise, so the "
            "scatter is wider than the true differences between prompts, and some of the "
            "agreement along the line is built in." + layers_missing(evidence, layers)
        ),
        alt="Scatter of prompt effects. " + "; ".join(shares) + ".",
        data=rows,
        draw=draw,
    )


def _scatter(axes: Axes, rows: pl.DataFrame, kinds: list[str]) -> None:
    axes.axhline(0, color=MUTED, lw=0.6)
    axes.axvline(0, color=MUTED, lw=0.6)
    axes.axline((0, 0), slope=1, color=MUTED, lw=0.8, ls="--")
    for kind, series in zip(kinds, SERIES, strict=False):
        part = rows.filter(pl.col("environment") == kind)
        axes.plot(part["v"], part["other"], ls="", marker=series.marker, color=series.colour,
                  ms=3.6, alpha=0.85, label=kind.replace("_", " "))  # fmt: skip


def _ordered(found: list[str]) -> list[str]:
    return sorted(found, key=lambda e: (ORDER.index(e) if e in ORDER else len(ORDER), e))
