"""Elements shared by several figures: panels, intervals, lines, sentences on missing data."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy.typing import ArrayLike

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.style import MUTED, Look, canvas, logarithmic, y_label


def panels(
    n: int,
    *,
    height: float,
    columns: int = 2,
    share_x: bool = False,
    share_y: bool = False,
    extra: float = 0.5,
) -> tuple[Canvas, list[Axes]]:
    """`n` panels, at most `columns` per row, each row `height` inches high."""
    columns = min(n, columns)
    rows = math.ceil(n / columns)
    figure = canvas(rows * height + extra)
    grid = figure.subplots(rows, columns, sharex=share_x, sharey=share_y, squeeze=False)
    flat = list(grid.flat)
    for unused in flat[n:]:
        unused.remove()
    for axes in flat[max(0, n - columns) : n]:
        axes.tick_params(labelbottom=True)
    return figure, flat[:n]


def dodge(index: int, n: int, width: float) -> float:
    """Offset of mark `index` of `n` adjacent marks within `width`."""
    return 0.0 if n == 1 else width * (index / (n - 1) - 0.5)


def interval(axes: Axes, x: ArrayLike, rows: pl.DataFrame, look: Look, *, label: str = "") -> None:
    """Marks at effect_sd with bars from low_sd to high_sd."""
    middle, low, high = (rows[c].to_numpy() for c in ("effect_sd", "low_sd", "high_sd"))
    # A bootstrap interval need not contain the estimate: the bar shows it as computed.
    axes.vlines(x, low, high, color=look.colour, lw=1.2)
    axes.plot(x, middle, ls="", marker=look.marker, color=look.colour, label=label or "_nolegend_")


def interval_across(axes: Axes, y: ArrayLike, rows: pl.DataFrame, look: Look) -> None:
    """The same, horizontally: one row of a forest plot."""
    middle, low, high = (rows[c].to_numpy() for c in ("effect_sd", "low_sd", "high_sd"))
    axes.hlines(y, low, high, color=look.colour, lw=1.2)
    axes.plot(middle, y, ls="", marker=look.marker, color=look.colour)


def zero_line(axes: Axes, *, vertical: bool = False) -> None:
    """The line of no effect."""
    draw = axes.axvline if vertical else axes.axhline
    draw(0, color=MUTED, lw=0.8, zorder=1)


def layers_missing(evidence: Evidence, present: Iterable[int]) -> str:
    """Sentence naming the steered layers without rows; empty where there are none."""
    absent = sorted(set(evidence.steered_layers) - set(present))
    return f" No rows are stored for layer {listed(absent)}." if absent else ""


def listed(items: Sequence[object]) -> str:
    """`a, b and c`."""
    words = [str(item) for item in items]
    if len(words) < 2:
        return "".join(words)
    return ", ".join(words[:-1]) + " and " + words[-1]


def quartiles(values: str) -> list[pl.Expr]:
    """Lower quartile, median and upper quartile of a column, for use in `agg`."""
    return [
        pl.col(values).quantile(0.25, "linear").alias(f"{values}_q25"),
        pl.col(values).median().alias(f"{values}_median"),
        pl.col(values).quantile(0.75, "linear").alias(f"{values}_q75"),
    ]


def positive(values: ArrayLike, floor: float) -> np.ndarray:
    """Values for a logarithmic axis: those below `floor` are drawn at `floor`."""
    return np.asarray(np.maximum(np.asarray(values, dtype=float), floor))


def extent(values: pl.Series) -> tuple[float, float]:
    """Smallest and largest number of a column that has numbers."""
    numbers = values.to_numpy()
    return float(numbers.min()), float(numbers.max())


def divergence_curves(
    rows: pl.DataFrame,
    *,
    x: str,
    bars: tuple[str, str],
    floor: float,
    look_of: Callable[[str, str], Look],
    labels: tuple[str, str],
) -> Canvas:
    """`kl` against `x` by `direction`, a panel for each layer; dotted: `predicted_kl`.

    bars: columns of their ends. floor: smaller values are drawn here. look_of: by family and null
    space. labels: of the two axes.
    """
    layers = sorted(rows["layer"].unique())
    figure, grid = panels(len(layers), height=2.2, share_x=True, share_y=True, extra=0.7)
    for axes, layer in zip(grid, layers, strict=True):
        here = rows.filter(pl.col("layer") == layer)
        for (name,), part in here.group_by("direction", maintain_order=True):
            own = part.sort(x)
            shown = look_of(own["family"][0], own["null_space"][0])
            at, colour = own[x].to_numpy(), shown.colour
            low, middle, high = (positive(own[c], floor) for c in (bars[0], "kl", bars[1]))
            axes.vlines(at, low, high, color=colour, lw=1, alpha=0.7)
            axes.plot(at, middle, color=colour, marker=shown.marker, ms=3.6, label=str(name))
            axes.plot(at, positive(own["predicted_kl"], floor), color=colour, ls=":", lw=0.9)
        logarithmic(axes)
        axes.set_title(f"layer {layer}")
    y_label(grid[0], labels[1])
    figure.supxlabel(labels[0], fontsize="medium")
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=3)
    return figure
