"""How large the null space is, by every estimator, never without its sampling floor."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.charts.parts import dodge, extent, listed, panels
from steer_assets.reporting.evidence import POOLED, Evidence
from steer_assets.reporting.figures import Absent, Figure, make
from steer_assets.reporting.style import BAND, BLUE, KINDS

ESTIMATORS = {
    "sigma_1pct": "above 1% of largest",
    "sigma_5pct": "above 5% of largest",
    "variance_95": "95% of variance",
    "variance_99": "99% of variance",
    "entropy_rank": "entropy rank",
    "participation_ratio": "participation ratio",
    "stable_rank": "stable rank",
    "marchenko_pastur": "Marchenko-Pastur",
    "gavish_donoho": "Gavish-Donoho",
}


def null_rows(evidence: Evidence) -> pl.DataFrame:
    """Null fractions of the pooled, unsteered spectra, with names and floors."""
    return (
        evidence.table("null_spaces")
        .filter(pl.col("environment") == POOLED, pl.col("at") == "unsteered")
        .select(
            "layer", "kind", "estimator", "threshold", "ambient_dim", "rank", "null_dim",
            "null_fraction", "sampling_floor", "heldout_null_energy", "n_samples",
        )
        .sort("layer", "kind", "estimator")
    )  # fmt: skip


def null_fraction(evidence: Evidence) -> Figure | Absent:
    """Null fraction by estimator and kind, one panel per layer."""
    name, title = "null_fraction", "How large is the null space?"
    rows = null_rows(evidence)
    if rows.is_empty():
        return Absent(name, title, "No null spaces are stored.")
    layers = sorted(rows["layer"].unique())
    known = [e for e in ESTIMATORS if e in set(rows["estimator"])]
    order: list[str] = known + sorted(set(rows["estimator"]) - set(known))
    low, high = extent(rows["null_fraction"])

    def draw() -> Canvas:
        figure, grid = panels(
            len(layers), height=0.19 * len(order) + 0.3, share_x=True, share_y=True
        )
        for axes, layer in zip(grid, layers, strict=True):
            _dots(axes, rows.filter(pl.col("layer") == layer), order)
            axes.set_title(f"layer {layer}")
        grid[0].set_yticks(range(len(order)), [ESTIMATORS.get(e, str(e)) for e in order])
        grid[0].set_ylim(len(order) - 0.4, -0.6)
        figure.supxlabel("share of all directions that count as null", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure

    floors = rows.filter(pl.col("kind") == "covariance")["sampling_floor"]
    floor = ""
    if not floors.is_empty():
        floor = f" For the covariance the floor is {100 * extent(floors)[1]:.0f}% here."
    missing = sorted(set(evidence.measured_layers) - set(layers))
    gap = f" No rows are stored for layer {listed(missing)}." if missing else ""
    return make(
        name,
        title,
        caption=(
            "Share of the residual stream's dimensions that each estimator (row) calls null, for "
            "the spread of activations (covariance) and for the output's response (Jacobian, "
            "Fisher), unsteered. The shaded part is the sampling floor of the covariance: what "
            "this number of samples gives any model, so only what lies right of it says "
            f"something.{floor} Jacobian and Fisher forms have a floor of zero. Estimators answer "
            "different questions and need not agree; a large null fraction of the covariance "
            "does not mean that the output ignores those directions." + gap
        ),
        alt=f"Null fraction by {len(order)} estimators at layer {listed(layers)}, between "
        f"{low:.2f} and {high:.2f}.",
        data=rows,
        draw=draw,
    )


def _dots(axes: Axes, rows: pl.DataFrame, order: list[str]) -> None:
    floor = rows.filter(pl.col("kind") == "covariance")["sampling_floor"]
    if not floor.is_empty():
        axes.axvspan(0, floor[0], color=BAND, lw=0, zorder=0, label="sampling floor")
        axes.axvline(floor[0], color=BLUE, lw=0.8, ls=":")
    for k, (kind, look) in enumerate(KINDS.items()):
        part = rows.filter(pl.col("kind") == kind)
        y = [order.index(e) + dodge(k, 3, 0.36) for e in part["estimator"]]
        axes.plot(part["null_fraction"], y, ls="", marker=look.marker, color=look.colour, ms=3.4,
                  label=look.label)  # fmt: skip
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.tick_params(axis="y", length=0)
