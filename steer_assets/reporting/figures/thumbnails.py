"""A small picture of a table for a catalogue page: a few kilobytes of PNG, no caption.

It shows that rows exist and are of a plausible size; the report explains them.
"""

import io
from collections.abc import Callable, Mapping

import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.figures.style import BLUE, MUTED, SERIES, canvas, logarithmic, styled
from steer_assets.reporting.safe_text import plain

_DPI = 80
_MOST_BARS = 12

Draw = Callable[[Axes, pl.DataFrame], None]


def thumbnail(table: str, frame: pl.DataFrame) -> bytes | None:
    """A PNG of the rows of `table`; None if there is nothing to plot."""
    draw = _DRAWINGS.get(table)
    if draw is None or frame.is_empty():
        return None
    with styled():
        figure = canvas(1.9)
        figure.set_facecolor("white")
        axes = figure.subplots()
        draw(axes, frame)
        if not axes.has_data():
            return None
        return _png(figure)


def _png(figure: Canvas) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _counts(*columns: str) -> Draw:
    """Number of rows of each kind."""

    def draw(axes: Axes, frame: pl.DataFrame) -> None:
        kinds = frame.select(pl.concat_str(columns, separator=" ").alias("kind"))
        counts = kinds["kind"].value_counts().sort(["count", "kind"], descending=[True, False])
        shown = counts.head(_MOST_BARS)
        y = range(shown.height)
        axes.barh(y, shown["count"], color=BLUE)
        axes.set_yticks(y, [plain(kind) for kind in shown["kind"]])
        axes.set_ylim(shown.height - 0.5, -0.5)
        axes.set_xlabel("rows")

    return draw


def _histogram(column: str, *, log: bool = False) -> Draw:
    """Histogram of one column."""

    def draw(axes: Axes, frame: pl.DataFrame) -> None:
        values = frame[column].to_numpy().astype(float)
        axes.hist(values, bins=30, color=BLUE)
        if log and values.min() > 0 and values.max() > 20 * values.min():
            axes.set_yscale("log")
        axes.set_xlabel(column.replace("_", " "))

    return draw


def _lines(x: str, y: str, by: str, *, where: Mapping[str, str] | None = None) -> Draw:
    """Median of y against x on logarithmic axes, one line for each value of `by`."""

    def draw(axes: Axes, frame: pl.DataFrame) -> None:
        for column, value in (where or {}).items():
            frame = frame.filter(pl.col(column) == value)
        shift = 1 if x == "index" else 0
        curves = frame.filter(pl.col(y) > 0).group_by(by, x).agg(pl.col(y).median()).sort(by, x)
        kinds = curves[by].unique().sort().to_list()
        for kind, look in zip(kinds, SERIES * (1 + len(kinds) // len(SERIES)), strict=False):
            part = curves.filter(pl.col(by) == kind)
            axes.plot(part[x] + shift, part[y], color=look.colour, ls=look.dash,
                      label=plain(f"{by} {kind}"))  # fmt: skip
        if kinds:
            logarithmic(axes)
            axes.set(xlabel=x, ylabel=y.replace("_", " "))
            if len(kinds) <= len(SERIES):
                axes.legend()

    return draw


def _intervals(names: tuple[str, ...], value: str, low: str, high: str) -> Draw:
    """One bar for each row."""

    def draw(axes: Axes, frame: pl.DataFrame) -> None:
        shown = frame.drop_nulls(value).head(_MOST_BARS)
        y = range(shown.height)
        axes.hlines(y, shown[low], shown[high], color=BLUE)
        axes.plot(shown[value], y, "o", color=BLUE)
        labels = shown.select(pl.concat_str(names, separator=" ")).to_series()
        axes.set_yticks(y, [plain(label) for label in labels])
        axes.set_ylim(shown.height - 0.5, -0.5)
        axes.axvline(0, color=MUTED, lw=0.8)
        axes.set_xlabel(value.replace("_", " "))

    return draw


def _medians(column: str, by: str) -> Draw:
    """Median of a column for each kind of row."""

    def draw(axes: Axes, frame: pl.DataFrame) -> None:
        medians = frame.group_by(by).agg(pl.col(column).median()).drop_nulls(column)
        found = medians.sort(column).tail(_MOST_BARS)
        y = range(found.height)
        axes.plot(found[column], y, "o", color=BLUE)
        axes.set_yticks(y, [plain(str(kind)) for kind in found[by]])
        axes.set_xlabel(f"median {column.replace('_', ' ')}")

    return draw


_DRAWINGS: dict[str, Draw] = {
    "prompt_sets": _counts("role", "environment"),
    "activation_caches": _medians("bytes", "layer"),
    "covariance_matrices": _medians("trace", "layer"),
    "svd_spectra": _lines("index", "singular_value", "layer", where={"environment": "pooled"}),
    "behavioral_spectra": _lines(
        "index", "singular_value", "layer", where={"kind": "fisher", "at": "unsteered"}
    ),
    "steering_vectors": _medians("norm", "family"),
    "steering_calibration": _medians("alpha", "layer"),
    "protocol_vectors": _medians("norm", "site"),
    "protocol_measures": _medians("value", "quantity"),
    "logit_distances": _lines("alpha", "kl", "layer", where={"reference_id": "none"}),
    "generations": _histogram("n_tokens"),
    "text_divergences": _lines("n_tokens", "kl", "layer", where={"environment": "pooled"}),
    "text_spectra": _lines("index", "singular_value", "layer"),
    "fluency": _histogram("perplexity", log=True),
    "scorer_validation": _intervals(("scorer",), "auroc", "auroc_low", "auroc_high"),
    "classifier_scores": _histogram("score"),
    "protocol_findings": _counts("controlled"),
    "equivalence_reports": _intervals(
        ("scorer", "layer", "verdict"), "efficacy", "efficacy_low", "efficacy_high"
    ),
    "identifiability_summary": _counts("verdict"),
    "verdict_history": _counts("verdict"),
}
