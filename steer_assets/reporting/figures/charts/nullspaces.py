"""Size of the null space with its sampling floor, and the energy share of v in it."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.evidence import POOLED, Evidence
from steer_assets.reporting.figures.charts.axes import dodge, extent, listed, panels
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import BLUE, GREY, KINDS, MUTED

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

    missing = sorted(set(evidence.measured_layers) - set(layers))
    gap = f" No rows are stored for layer {listed(missing)}." if missing else ""
    return make(
        name,
        title,
        caption=(
            "Share of the residual stream's dimensions that each estimator (row) calls null, for "
            "the spread of neutral prompts' activations (covariance) and for the output's response "
            "(Jacobian, Fisher), unsteered. The upright tick on each line is the sampling floor: "
            "what so few prompts give any model, so only what lies right of it says something. "
            f"{_floors(rows)} Estimators answer "
            "different questions and need not agree; a large null fraction of the covariance "
            "does not mean that the output ignores those directions." + gap
        ),
        alt=f"Null fraction by {len(order)} estimators at layer {listed(layers)}, between "
        f"{low:.2f} and {high:.2f}. {_floors(rows)}",
        data=rows,
        draw=draw,
    )


def _floors(rows: pl.DataFrame) -> str:
    """Floors of every kind, and the estimators without a known floor."""
    parts = []
    for kind, look in KINDS.items():
        part = rows.filter(pl.col("kind") == kind)
        known = part["sampling_floor"].drop_nulls()
        if known.len():
            low, high = (f"{100 * x:.0f}" for x in extent(known))
            span = f"{low}%" if low == high else f"{low} to {high}%"
            n = listed(sorted(part["n_samples"].unique()))
            parts.append(f"{span} for the {look.label} ({n} prompts)")
    words = f"Floors are {listed(parts)}." if parts else "No floor is stored."
    bare = rows.filter(pl.col("sampling_floor").is_null())["estimator"].unique().to_list()
    names = [label for estimator, label in ESTIMATORS.items() if estimator in bare]
    if names:
        words += f" Where a mark has no tick no bound is known ({listed(names)})."
    return words


def _dots(axes: Axes, rows: pl.DataFrame, order: list[str]) -> None:
    for k, (kind, look) in enumerate(KINDS.items()):
        part = rows.filter(pl.col("kind") == kind)
        y = np.array([order.index(e) + dodge(k, 3, 0.36) for e in part["estimator"]])
        axes.plot(part["null_fraction"], y, ls="", marker=look.marker, color=look.colour, ms=3.4,
                  label=look.label)  # fmt: skip
        known = part["sampling_floor"].is_not_null().to_numpy()
        floor = part["sampling_floor"].to_numpy()[known]
        axes.hlines(y[known], 0, floor, color=look.colour, lw=0.6, alpha=0.5)
        axes.plot(floor, y[known], ls="", marker="|", color=look.colour, ms=5, mew=1.1)
    axes.plot([], [], ls="", marker="|", color=MUTED, ms=5, mew=1.1, label="sampling floor")
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.tick_params(axis="y", length=0)


def energy_rows(evidence: Evidence) -> pl.DataFrame:
    """v's share of energy in each null space, and that of a random vector."""
    vectors = evidence.table("steering_vectors").filter(pl.col("family") == "base")
    return (
        evidence.table("null_energies")
        .join(vectors.select("vector_id"), on="vector_id", how="semi")
        .select(
            "layer", "kind", "estimator", "n_samples", "null_dim", "ambient_dim", "energy",
            "random_mean", "random_low", "random_high", "share_of_random_below",
        )
        .sort("layer", "kind")
    )  # fmt: skip


def null_energy(evidence: Evidence) -> Figure | Absent:
    """Whether v has more or less energy in the null spaces than a random vector."""
    name, title = "null_energy", "Does v lie in the null space?"
    rows = energy_rows(evidence)
    if rows.is_empty():
        return Absent(name, title, "No energies of v in null spaces are stored.")
    layers = sorted(rows["layer"].unique())

    def draw() -> Canvas:
        figure, grid = panels(len(layers), height=1.1, share_x=True, share_y=True, extra=0.6)
        for axes, layer in zip(grid, layers, strict=True):
            _energies(axes, rows.filter(pl.col("layer") == layer))
            axes.set_title(f"layer {layer}")
        grid[0].set_yticks(range(len(KINDS)), [look.label for look in KINDS.values()])
        grid[0].set_ylim(len(KINDS) - 0.5, -0.5)
        figure.supxlabel("share of the vector's energy in the null space", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure

    words = [
        f"{100 * r['energy']:.0f}% of v in that of the {KINDS[r['kind']].label} at layer "
        f"{r['layer']} (random {100 * r['random_low']:.0f}% to {100 * r['random_high']:.0f}%)"
        for r in rows.iter_rows(named=True)
    ]
    return make(
        name,
        title,
        caption=(
            "Share of v's energy in each null space (mark) and the range of that share over random "
            f"vectors ({evidence.confidence} of them; the bar). A mark left of its bar avoids the "
            "null space, one right of it seeks it; one inside is what any vector would show. Null "
            "spaces are fitted on neutral prompts: on the contrast prompts v would have no energy "
            "in that of the covariance by construction, being their mean difference. "
            f"{listed(words)}."
        ),
        alt=f"Energy of v in null spaces beside that of random vectors: {listed(words)}.",
        data=rows,
        draw=draw,
    )


def _energies(axes: Axes, rows: pl.DataFrame) -> None:
    for y, (kind, look) in enumerate(KINDS.items()):
        for row in rows.filter(pl.col("kind") == kind).iter_rows(named=True):
            axes.hlines([y], row["random_low"], row["random_high"], color=GREY, lw=5, alpha=0.6)
            axes.plot([row["energy"]], [y], look.marker, color=look.colour, ms=4.4)
    axes.plot([], [], color=GREY, lw=5, alpha=0.6, label="random vectors")
    axes.plot([], [], "o", color=BLUE, ms=4.4, label="v")
    axes.set_xlim(-0.03, 1.03)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
