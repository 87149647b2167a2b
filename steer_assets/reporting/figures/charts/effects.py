"""Efficacy of v over layers and over doses."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.evidence import POOLED, Evidence
from steer_assets.reporting.figures.charts.axes import (
    dodge,
    extent,
    interval,
    layers_missing,
    panels,
    zero_line,
)
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import MUTED, PAPER, canvas, look, y_label

SHOWN = ("base", "base_plus_orthogonal", "base_plus_orthogonal_matched", "orthogonal")
_COLUMNS = (
    "layer", "family", "vector_id", "alpha", "n_prompts", "effect_sd", "low_sd", "high_sd",
    "p_difference_adjusted",
)  # fmt: skip


def efficacy_rows(evidence: Evidence) -> pl.DataFrame:
    """Effects over unsteered at the headline dose, all environments pooled."""
    return _efficacy(evidence).filter(evidence.at_headline_dose).select(_COLUMNS)


def alpha_curve_rows(evidence: Evidence) -> pl.DataFrame:
    """Effects of v and v + v_perp over unsteered at every dose."""
    families = ("base", "base_plus_orthogonal")
    return _efficacy(evidence).filter(pl.col("family").is_in(families)).select(_COLUMNS)


def efficacy_over_layers(evidence: Evidence) -> Figure | Absent:
    """Effect over unsteered at the headline dose, layer by layer."""
    name, title = "efficacy_layers", "How far each vector moves the trait, by layer"
    rows = efficacy_rows(evidence)
    if rows.is_empty():
        return Absent(name, title, "No comparison with unsteered text at this dose is stored.")
    layers = sorted(rows["layer"].unique())

    def draw() -> Canvas:
        figure = canvas(2.6)
        axes = figure.subplots()
        series = rows.select("family", "vector_id", "layer").with_columns(
            seed=pl.col("vector_id").rank("dense").over("layer", "family")
        )
        keys = series.select("family", "seed").unique().rows()
        keys.sort(key=lambda key: (SHOWN.index(key[0]), key[1]))
        for k, (family, seed) in enumerate(keys):
            part = rows.filter((series["family"] == family) & (series["seed"] == seed))
            x = np.array([layers.index(v) for v in part["layer"]]) + dodge(k, len(keys), 0.6)
            interval(axes, x, part, look(family), label=look(family).label if seed == 1 else "")
        zero_line(axes)
        axes.set_xticks(range(len(layers)), [f"layer {layer}" for layer in layers])
        axes.set_xlim(-0.6, len(layers) - 0.4)
        axes.grid(visible=False, axis="x")
        y_label(axes, "effect over unsteered (SD)")
        figure.legend(loc="outside upper left", ncols=2)
        return figure

    positive, negative = evidence.poles
    return make(
        name,
        title,
        caption=(
            "Each mark is the mean difference in trait score between steered and unsteered texts "
            "of the same prompts, in standard deviations of the score, at dose "
            f"{evidence.headline_doses}; bars are {evidence.confidence} intervals over prompts. "
            f"Above zero the text is more {positive}, below it more {negative}; a bar that crosses "
            "zero leaves open whether there is an effect. Marks of one kind side by side are "
            "different random v⊥. Overlap of two bars does not show that two vectors act alike: "
            "see the forest plot for that." + layers_missing(evidence, layers)
        ),
        alt="Efficacy in standard deviations at "
        + ", ".join(_words(rows, layer) for layer in layers)
        + ".",
        data=rows,
        draw=draw,
    )


def alpha_curves(evidence: Evidence) -> Figure | Absent:
    """Effect over unsteered against dose, for v and v + v_perp."""
    name, title = "alpha_curves", "Effect against dose, v and v + v⊥"
    rows = alpha_curve_rows(evidence)
    if rows.is_empty():
        return Absent(name, title, "No comparison with unsteered text is stored for these vectors.")
    layers = sorted(rows["layer"].unique())
    doses = [0.0, *sorted(rows["alpha"].unique())]
    single = [v for v in layers if rows.filter(pl.col("layer") == v)["alpha"].n_unique() == 1]

    def draw() -> Canvas:
        figure, grid = panels(len(layers), height=2.1, share_x=True, share_y=True)
        for axes, layer in zip(grid, layers, strict=True):
            _curves(axes, rows.filter(pl.col("layer") == layer), doses)
            axes.set_title(f"layer {layer}")
        y_label(grid[0], "effect over unsteered (SD)")
        figure.supxlabel("dose α", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure

    only = f" Only one dose was run at layer {', '.join(map(str, single))}." if single else ""
    return make(
        name,
        title,
        caption=(
            "Mean difference from unsteered texts of the same prompts, in standard deviations of "
            "the score, against the factor α that the vector is multiplied by; bars are "
            f"{evidence.confidence} intervals over prompts, and the hollow mark at α = 0 is zero "
            "by definition. v + v⊥ is √2 times as long as v at the same α, so curves that lie on "
            "each other mean that the added half changed nothing that the scorer sees. The "
            "figure does not show whether the texts stay fluent at high doses: see further down."
            + only
            + layers_missing(evidence, layers)
        ),
        alt=f"Effect against dose for v and v + v⊥ at layer {', '.join(map(str, layers))}; "
        f"largest mean effect {extent(rows['effect_sd'])[1]:.2f} standard deviations.",
        data=rows,
        draw=draw,
    )


def _curves(axes: Axes, rows: pl.DataFrame, doses: list[float]) -> None:
    ids = rows.select("family", "vector_id").unique().sort("family", "vector_id").rows()
    step = min(np.diff(doses))
    zero_line(axes)
    for k, (family, vector_id) in enumerate(ids):
        part = rows.filter(pl.col("vector_id") == vector_id).sort("alpha")
        shown = look(family)
        x = part["alpha"].to_numpy() + dodge(k, len(ids), 0.16 * step)
        first = vector_id == min(i for f, i in ids if f == family)
        interval(axes, x, part, shown, label=shown.label if first else "")
        axes.plot([0.0, *x], [0.0, *part["effect_sd"]], color=shown.colour, ls=shown.dash, lw=1.1)
    axes.plot(0, 0, "o", mfc=PAPER, mec=MUTED, zorder=4)
    axes.set_xticks(doses, [f"{dose:g}" for dose in doses])
    axes.grid(visible=False, axis="x")


def _efficacy(evidence: Evidence) -> pl.DataFrame:
    return evidence.tests("efficacy").filter(
        pl.col("environment") == POOLED, pl.col("family").is_in(SHOWN)
    )


def _words(rows: pl.DataFrame, layer: int) -> str:
    found = rows.filter(pl.col("layer") == layer)
    parts = [f"{look(f).label} {e:.2f}" for f, e in found.select("family", "effect_sd").rows()]
    return f"layer {layer}: {', '.join(parts)}"
