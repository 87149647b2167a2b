"""Where v steers: effect, divergence and fluency over blocks and doses, and what was chosen."""

from collections.abc import Callable

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts.axes import listed
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import BLUE, INK, VERMILLION, canvas

_NAME, _TITLE = "calibration", "Where does v steer, and how strongly?"
#: Points at which v is added in the study.
_USED = ((pl.col("rank") > 0) | (pl.col("chosen") == "given")).alias("used")
#: What the panels show: column and title.
_PANELS = (
    ("effect", "effect (SD)"),
    ("next_token_kl_p95", "KL (nats)"),
    ("perplexity_ratio", "perplexity ratio"),
)
#: Doses with which the panels stand side by side; with more, numbers would not fit their cells.
_MOST_BESIDE = 3
_COLUMNS = (
    "layer", "alpha", "iso_multiple", "step_norm", "effect", "effect_low", "effect_per_nat",
    "next_token_kl_p95", "next_token_kl", "perplexity_ratio", "repetition", "fluent", "steerable",
    "chosen", "rank", "n_prompts", "n_texts", "reason",
)  # fmt: skip


def calibration_rows(evidence: Evidence) -> pl.DataFrame:
    """Blocks and doses of the sweep, by block and dose, with the column that a dose stands in.

    Doses that differ from block to block stand together where they are the same multiple of the
    block's dose of equal divergence; doses by hand where they are the same number.
    """
    rows = evidence.table("steering_calibration").select(_COLUMNS)
    of_hand = pl.col("chosen") == "given"
    shown = [
        f"α = {alpha:g}" if given else f"{multiple:.3g} × iso"
        for alpha, multiple, given in rows.select("alpha", "iso_multiple", of_hand).rows()
    ]
    return rows.with_columns(pl.Series("dose", shown, dtype=pl.String)).sort("layer", "alpha")


def calibration(evidence: Evidence) -> Figure | Absent:
    """Heat maps of blocks and doses: effect, divergence of the next token, perplexity."""
    rows = calibration_rows(evidence)
    if rows.is_empty():
        return Absent(_NAME, _TITLE, "No calibration is stored: the verdicts leave no prompts.")
    layers = sorted(rows["layer"].unique(), reverse=True)
    doses = rows.group_by("dose").agg(pl.col("iso_multiple").mean()).sort("iso_multiple", "dose")
    names = doses["dose"].to_list()

    def draw() -> Canvas:
        stacked = len(names) > _MOST_BESIDE
        n_rows, n_columns = (len(_PANELS), 1) if stacked else (1, len(_PANELS))
        figure = canvas(n_rows * (0.3 * len(layers) + 0.5) + 1.0)
        grid = figure.subplots(n_rows, n_columns, sharex=stacked, sharey=True)
        for axes, (column, title) in zip(grid, _PANELS, strict=True):
            _heat_map(axes, rows, column, layers, names)
            axes.set_title(title)
        grid[0].set_yticks(range(len(layers)), [f"layer {layer}" for layer in layers])
        return figure

    first = rows.row(0, named=True)
    target = evidence.table("steering_calibration").item(0, "target_kl")
    return make(
        _NAME,
        _TITLE,
        caption=(
            "v alone, at several blocks and doses α. 1 × iso is the dose of a block at which the "
            f"95th percentile over {first['n_prompts']} prompts of the next token's KL from "
            f"unsteered is {target:g} nats: blocks are compared at equal divergence. Effects are "
            f"means over one text of each of {first['n_texts']} prompts, in standard deviations of "
            "the unsteered texts' scores; the perplexity of texts is the unsteered model's, as "
            "a ratio to that of unsteered texts. Boxed: where v is added in this study. None of "
            "these prompts is among those of the verdicts, so that a choice made here does not "
            f"flatter them. {_choice(rows)} So few texts rank blocks roughly, and prove nothing."
        ),
        alt=f"Heat maps of {len(layers)} blocks and {len(names)} doses. {_choice(rows)}",
        data=rows,
        draw=draw,
    )


def _choice(rows: pl.DataFrame) -> str:
    """What was chosen, in a sentence."""
    ranked = rows.filter(pl.col("rank") > 0).sort("rank")
    if ranked.is_empty():
        given = rows.filter(pl.col("chosen") == "given")["layer"].unique().sort().to_list()
        return f"Given by hand: layer {listed(given)}." if given else "Nothing is chosen."
    words = [
        f"layer {layer} at α = {alpha:g} ({effect:+.2f} SD, {kl:.2g} nats)"
        for layer, alpha, effect, kl in ranked.select(
            "layer", "alpha", "effect", "next_token_kl_p95"
        ).rows()
    ]
    reason = ranked.item(0, "reason")
    return f"Chosen: {listed(words)}" + (f"; {reason}." if reason else ".")


def _heat_map(
    axes: Axes, rows: pl.DataFrame, column: str, layers: list[int], names: list[str]
) -> None:
    depth = _depth(rows, column)
    for layer, dose, value, used in rows.select("layer", "dose", column, _USED).rows():
        if value is None:
            continue
        x, y = names.index(dose), layers.index(layer)
        colour = VERMILLION if value < 0 else BLUE
        edge = {"edgecolor": INK, "lw": 1.2} if used else {"edgecolor": "none"}
        axes.add_patch(
            Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, facecolor="none", **edge, zorder=3)
        )
        axes.add_patch(
            Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, facecolor=colour, alpha=depth(value), lw=0)
        )
        axes.text(x, y, f"{value:.2g}", ha="center", va="center", fontsize=8)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.grid(visible=False)
    axes.tick_params(length=0)


def _depth(rows: pl.DataFrame, column: str) -> Callable[[float], float]:
    """Opacity of a value: of effects by their size, of the others by their logarithm."""
    values = np.abs(rows[column].drop_nulls().to_numpy())
    if column == "effect":
        top = float(values.max(initial=1e-9))
        return lambda value: 0.6 * abs(value) / top
    low, high = np.log(max(values.min(), 1e-6)), np.log(max(values.max(), 1e-6))
    return lambda value: 0.6 * float((np.log(max(value, 1e-6)) - low) / max(high - low, 1e-9))
