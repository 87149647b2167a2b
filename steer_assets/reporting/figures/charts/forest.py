"""Every vector against v, with the equivalence margin as a band."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from steer_assets.reporting.evidence import POOLED, Evidence
from steer_assets.reporting.figures.charts.axes import (
    extent,
    interval_across,
    layers_missing,
    zero_line,
)
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import (
    BAND,
    BLUE,
    GREY,
    INK,
    MUTED,
    VERMILLION,
    Look,
    canvas,
    vector_name,
)  # fmt: skip

VERDICTS = {
    "equivalent": Look("equivalent", BLUE, "o"),
    "different": Look("different", VERMILLION, "D"),
    "inconclusive": Look("inconclusive", GREY, "s"),
    "untestable": Look("untestable", GREY, "x"),
}
DESCRIPTIVE = "descriptive"
_NAME, _TITLE = "forest", "Every vector against v"


def comparisons(evidence: Evidence) -> pl.DataFrame:
    """Differences from v at the headline dose with both margins, by layer and vector.

    Single vectors; the signed mean over seeds, which enters no verdict, is left out.
    """
    chosen = [
        pl.col("environment") == POOLED,
        pl.col("verdict") != DESCRIPTIVE,
        evidence.at_headline_dose,
    ]
    rows = evidence.tests("against_base").filter(*chosen)
    relative = evidence.tests("against_base", "efficacy").filter(*chosen)
    relative = relative.select(
        "vector_id",
        margin_efficacy_in_sd="margin_in_sd",
        verdict_by_efficacy_margin="verdict",
    )
    names = [vector_name(v, f) for v, f in rows.select("vector_id", "family").rows()]
    return rows.join(relative, on="vector_id", how="left", maintain_order="left").select(
        "layer",
        "vector_id",
        "family",
        pl.Series("name", names, dtype=pl.String),
        "alpha",
        "n_prompts",
        "effect_sd",
        "low_sd",
        "high_sd",
        "margin_in_sd",
        "margin_efficacy_in_sd",
        "p_difference_adjusted",
        "p_equivalence_adjusted",
        "power",
        "n_prompts_needed",
        "verdict",
        "verdict_by_efficacy_margin",
        "reason",
    )


def forest(evidence: Evidence) -> Figure | Absent:
    """Difference from v of every vector that generated text, per layer."""
    rows = comparisons(evidence)
    if rows.is_empty():
        return Absent(_NAME, _TITLE, "No comparison of any vector with v is stored.")
    layers = sorted(rows["layer"].unique())
    counts = [rows.filter(pl.col("layer") == layer).height for layer in layers]
    band = extent(rows["margin_in_sd"])[1]

    def draw() -> Canvas:
        figure = canvas(0.19 * sum(counts) + 0.45 * len(layers) + 0.6)
        ratios = [n + 1.5 for n in counts]
        grid = figure.subplots(
            len(layers), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios}
        )
        for axes, layer in zip(grid.flat, layers, strict=True):
            _rows(axes, rows.filter(pl.col("layer") == layer), band)
            axes.set_title(f"layer {layer}", loc="left")
        grid.flat[-1].set_xlabel("difference from v (SD of the score)")
        present = [v for v in VERDICTS if v in set(rows["verdict"])]
        handles = [_handle(VERDICTS[v]) for v in present]
        figure.legend(handles=handles, loc="outside upper left", ncols=2)
        return figure

    tally = [f"{n} {v}" for v in VERDICTS if (n := rows.filter(pl.col("verdict") == v).height)]
    return make(
        _NAME,
        _TITLE,
        caption=(
            "Each row is the mean difference in trait score between texts steered by that vector "
            "and by v, same prompts and same random numbers, in standard deviations of the "
            "unsteered texts' scores "
            f"at dose {evidence.headline_doses}; bars are {evidence.confidence} intervals "
            f"over prompts. The band is the margin of ±{evidence.margin:g} standard deviations "
            "inside which a difference counts as none; the small ticks mark the other margin, a "
            "share of v's own effect. Shape and colour give the verdict of the test with the "
            "band, after adjustment: seeds of one kind are shown equivalent together or not at "
            "all. The test asks for more than a bar that ends inside the band, and a bar that "
            "crosses the line at zero is not evidence of equality. "
            "What steers several blocks at once has the same dose in all, in equal shares; v + v⊥ "
            "there is compared with v there. Vectors that generated no text are not here: the "
            "next-token figures cover them." + _both(rows) + layers_missing(evidence, layers)
        ),
        alt=f"Forest plot of {rows.height} vectors against v: {', '.join(tally)}.",
        data=rows,
        draw=draw,
    )


def _both(rows: pl.DataFrame) -> str:
    if "two_traits" not in set(rows["family"]):
        return ""
    return (
        " v with another trait is v and that trait's own vector together: its difference from v is "
        "the interference of the two, and equivalence means that v does what it does alone."
    )


def _rows(axes: Axes, rows: pl.DataFrame, band: float) -> None:
    axes.axvspan(-band, band, color=BAND, lw=0, zorder=0)
    zero_line(axes, vertical=True)
    for y, row in enumerate(rows.iter_slices(1)):
        interval_across(axes, [y], row, VERDICTS.get(row["verdict"][0], VERDICTS["untestable"]))
        margin = row["margin_efficacy_in_sd"][0]
        if margin is not None:
            axes.plot([-margin, margin], [y, y], ls="", marker="|", ms=6, color=MUTED, mew=0.8)
    axes.set_yticks(range(rows.height), rows["name"].to_list())
    axes.set_ylim(rows.height - 0.3, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def _handle(look: Look) -> Line2D:
    return Line2D([], [], color=look.colour, marker=look.marker, label=look.label, mec=INK, mew=0)
