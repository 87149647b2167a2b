"""Heterogeneity: the spread of true effects over prompts, beyond sampling noise."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.evidence import POOLED, Evidence
from steer_assets.reporting.figures.charts.axes import layers_missing, zero_line
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import BLUE, SKY, canvas, vector_name

_NAME, _TITLE = "heterogeneity", "Do all prompts respond alike?"
_ARM = ["comparison", "layer", "vector_id", "reference_id", "alpha"]
_LENGTHS = ("effect", "tau", "tau_low", "tau_high")


def spread_rows(evidence: Evidence) -> pl.DataFrame:
    """Mean effect and its true spread (tau) at the headline dose, in standard deviations."""
    tests = [evidence.tests(c).filter(pl.col("environment") == POOLED)
             for c in ("efficacy", "against_base")]  # fmt: skip
    units = pl.concat(t.select(*_ARM, "unit") for t in tests)
    rows = evidence.deciding("heterogeneity").filter(evidence.at_headline_dose)
    rows = rows.filter((pl.col("comparison") == "against_base") | (pl.col("family") == "base"))
    rows = rows.join(units, on=_ARM, how="inner")
    names = [vector_name(v, f) for v, f in rows.select("vector_id", "family").rows()]
    against = {"efficacy": " over unsteered", "against_base": " against v"}
    names = [n + against[c] for n, c in zip(names, rows["comparison"], strict=True)]
    return (
        rows.with_columns(
            pl.Series("name", names, dtype=pl.String),
            *((pl.col(name) / pl.col("unit")).alias(f"{name}_sd") for name in _LENGTHS),
        )
        .sort("layer", pl.col("comparison") == "against_base", "family", "vector_id")
        .select(
            "layer", "name", "comparison", "vector_id", "alpha", "n_prompts",
            *(f"{name}_sd" for name in _LENGTHS),
            "share_of_variance", "p", "p_crossover", "share_opposite",
        )
    )  # fmt: skip


def spread(evidence: Evidence) -> Figure | Absent:
    """Mean effect of every arm, and the spread of true effects of single prompts around it."""
    rows = spread_rows(evidence)
    if rows.is_empty():
        return Absent(_NAME, _TITLE, _why(evidence))
    layers = sorted(rows["layer"].unique())
    counts = [rows.filter(pl.col("layer") == layer).height for layer in layers]

    def draw() -> Canvas:
        figure = canvas(0.19 * sum(counts) + 0.45 * len(layers) + 0.6)
        grid = figure.subplots(
            len(layers), 1, sharex=True, squeeze=False,
            gridspec_kw={"height_ratios": [n + 1.5 for n in counts]},
        )  # fmt: skip
        for axes, layer in zip(grid.flat, layers, strict=True):
            _rows(axes, rows.filter(pl.col("layer") == layer))
            axes.set_title(f"layer {layer}", loc="left")
        grid.flat[-1].set_xlabel("effect (SD of the score)")
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure

    shown = rows.filter(pl.col("p") < float(evidence.study["statistics"]["significance"]))
    told = [f"{n} at layer {layer}" for n, layer in shown.select("name", "layer").rows()]
    found = "; ".join(told) if told else "none"
    return make(
        _NAME,
        _TITLE,
        caption=(
            "The mark is the mean over prompts; the thick bar goes one standard deviation of the "
            "true effects of single prompts to either side (τ), sampling noise taken out, and the "
            f"thin bar as far as the upper end of τ's {evidence.confidence} interval. A thick bar "
            "that crosses zero means that the vector helps some prompts and hurts others, which "
            "the mean hides; two vectors with equal means need not act alike prompt by prompt. "
            f"A spread beyond noise is shown (p below the level, not adjusted) for: {found}. "
            "A short bar is not proof that prompts respond alike: see the thin one."
            + layers_missing(evidence, layers)
        ),
        alt=f"Spread over prompts of {rows.height} effects; beyond sampling noise: {found}.",
        data=rows,
        draw=draw,
    )


def _why(evidence: Evidence) -> str:
    samples = int(evidence.study["generation"]["samples"])
    if samples < 2:
        return (
            "Telling a true spread from sampling noise takes at least two texts of each prompt and "
            f"arm; this study makes {samples}."
        )
    return "No spread of effects over prompts is stored for this dose."


def _rows(axes: Axes, rows: pl.DataFrame) -> None:
    zero_line(axes, vertical=True)
    y = range(rows.height)
    middle, tau, far = (rows[c].to_numpy() for c in ("effect_sd", "tau_sd", "tau_high_sd"))
    axes.hlines(y, middle - far, middle + far, color=BLUE, lw=1)
    axes.hlines(y, middle - tau, middle + tau, color=SKY, lw=5, label="± τ")
    axes.plot(middle, y, "o", color=BLUE, label="mean over prompts")
    axes.set_yticks(y, rows["name"].to_list())
    axes.set_ylim(rows.height - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
