"""Harmless sizes of v_perp: doses around v, and the longest step within a tolerance.

Both follow v + c v_perp with v_perp in a null space, in the leading subspace, and at random.
"""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.evidence import UNSTEERED, Evidence
from steer_assets.reporting.figures.charts.axes import (
    divergence_curves,
    dodge,
    extent,
    layers_missing,
    panels,
)
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import (
    KIND_NAMES,
    MUTED,
    PAPER,
    logarithmic,
    look,
)  # fmt: skip

_LEAST = 1e-3  # in |v|; a radius of zero is drawn here
_FLOOR = 1e-8  # nats; smaller values are rounding of float32 logits
_WORDS = {
    "base_plus_null": "null",
    "base_plus_range": "range",
    "orthogonal": "random",
    "base_plus_orthogonal": "random",
}
_ARM = ["layer", "family", "null_space"]


def direction(family: str, null_space: str) -> str:
    """The kind of vector added to v: `null (Fisher)`, `range (covariance)`, `random`."""
    name = _WORDS.get(family, family.replace("_", " "))
    return f"{name} ({KIND_NAMES.get(null_space, null_space)})" if null_space else name


def _named(rows: pl.DataFrame) -> pl.DataFrame:
    names = [direction(f, n) for f, n in rows.select("family", "null_space").rows()]
    return rows.with_columns(pl.Series("direction", names, dtype=pl.String))


def around_rows(evidence: Evidence) -> pl.DataFrame:
    """KL from v against |v_perp|, averaged over prompts and over seeds of one kind of direction."""
    rows = evidence.table("dose_response").filter(pl.col("reference_id") != UNSTEERED)
    means = (
        rows.group_by(*_ARM, "dose")
        .agg(
            pl.col("step_norm").mean(),
            pl.col("vector_id").n_unique().alias("n_directions"),
            pl.col("prompt_id").n_unique().alias("n_prompts"),
            pl.col("kl").mean(),
            pl.col("kl").min().alias("kl_smallest"),
            pl.col("kl").max().alias("kl_largest"),
            pl.col("predicted_kl").mean(),
        )
        .sort(*_ARM, "dose")
    )
    return _named(means)


def around_v(evidence: Evidence) -> Figure | Absent:
    """KL from the arm of v against the length of the added vector."""
    name = "dose_around_v"
    title = "Next token: what is added to v, along null, range and random directions"
    rows = around_rows(evidence)
    if rows.is_empty():
        return Absent(name, title, "No doses around v are stored.")
    # One pair of subspaces is drawn for legibility; the figure's data have all.
    shown = rows.filter(pl.col("null_space").is_in(["", "fisher"]))
    shown = rows if shown.is_empty() else shown
    layers = sorted(shown["layer"].unique())

    def draw() -> Canvas:
        return divergence_curves(
            shown,
            x="dose",
            bars=("kl_smallest", "kl_largest"),
            floor=_FLOOR,
            look_of=lambda family, _space: look(family),
            labels=("|v⊥| as a multiple of |v|", "KL from v (nats)"),
        )

    prompts = extent(rows["n_prompts"])[0]
    return make(
        name,
        title,
        caption=(
            "How far the next token moves when c·v⊥ is added to v: KL(v ‖ v + c v⊥) averaged over "
            f"{prompts:g} prompts against c, with v⊥ at right angles to v in the null space of "
            "the Fisher form, in its leading subspace (range), or at random. Bars go from the "
            "least to the most moved prompt; dotted lines are the prediction ½ e′Ge of the Fisher "
            "form at v. A null direction that is truly ignored stays low however far right it is "
            "followed; where a line leaves its dotted one, the second-order law no longer holds. "
            "One token says nothing about the trait of a whole text; values under 10⁻⁸ stand on "
            "the lower edge." + layers_missing(evidence, layers)
        ),
        alt="KL from v against the length of v⊥ on logarithmic axes. " + _largest(shown),
        data=rows,
        draw=draw,
    )


def _largest(rows: pl.DataFrame) -> str:
    far = rows.filter(pl.col("dose") == pl.col("dose").max().over("layer"))
    words = [
        f"layer {layer}, {name}, {dose:g} |v|: {kl:.2g} nats"
        for layer, name, dose, kl in far.select("layer", "direction", "dose", "kl").rows()
    ]
    return "; ".join(words) + "."


def radius_rows(evidence: Evidence) -> pl.DataFrame:
    """Longest v_perp within each tolerance, in multiples of |v|, by kind of direction.

    Averaged over seeds; `reached` is false if even the largest dose is within: the radius is then a
    lower bound.
    """
    base = evidence.table("steering_vectors").filter(pl.col("family") == "base")
    norms = base.select("layer", base_norm="norm")
    radii = evidence.table("equivalence_radius").filter(pl.col("reference_id") != UNSTEERED)
    lengths = ("predicted_radius", "measured_radius", "largest_step", "quadratic_limit")
    in_v = radii.join(norms, on="layer").with_columns(
        pl.col(name) / pl.col("base_norm") for name in lengths
    )
    means = (
        in_v.group_by(*_ARM, "tolerance")
        .agg(
            pl.col("vector_id").n_unique().alias("n_directions"),
            pl.col("n_prompts").min(),
            pl.col("measured_radius").mean().alias("measured"),
            pl.col("measured_reached").all().alias("measured_reached"),
            pl.col("predicted_radius").mean().alias("predicted"),
            pl.col("predicted_reached").all().alias("predicted_reached"),
            pl.col("quadratic_limit").mean().alias("law_holds_to"),
            pl.col("largest_step").max().alias("largest_dose"),
        )
        .sort(*_ARM, "tolerance")
    )
    return _named(means)


def radii(evidence: Evidence) -> Figure | Absent:
    """Measured and predicted equivalence radius by kind of direction."""
    name, title = "radii", "How long may v⊥ be before the next token notices?"
    rows = radius_rows(evidence)
    if rows.is_empty():
        return Absent(name, title, "No equivalence radii around v are stored.")
    tolerance = _middle(rows["tolerance"])
    shown = rows.filter(pl.col("tolerance") == tolerance)
    layers = sorted(shown["layer"].unique())
    kinds = shown.select("family", "null_space", "direction").unique(maintain_order=True)
    names = kinds.sort("family", "null_space")["direction"].to_list()

    def draw() -> Canvas:
        figure, grid = panels(
            len(layers), height=0.26 * len(names) + 0.45, share_x=True, share_y=True, extra=0.6
        )
        for axes, layer in zip(grid, layers, strict=True):
            _radii(axes, shown.filter(pl.col("layer") == layer), names)
            axes.set_title(f"layer {layer}")
        grid[0].set_xlim(*_ends(shown))
        grid[0].set_yticks(range(len(names)), names)
        grid[0].set_ylim(len(names) - 0.5, -0.5)
        figure.supxlabel("|v⊥| as a multiple of |v|", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
        return figure

    words = [
        f"{r['direction']} at layer {r['layer']}: {_bound(r['measured'], r['measured_reached'])}"
        f" measured, {_bound(r['predicted'], r['predicted_reached'])} predicted"
        for r in shown.iter_rows(named=True)
    ]
    return make(
        name,
        title,
        caption=(
            "Longest v⊥ that keeps the mean KL(v ‖ v + v⊥) of the next token within "
            f"{tolerance:g} nats, in multiples of |v|: as measured (filled) and as the Fisher form "
            "predicts before anything is run (hollow). A mark with an arrow is the largest length "
            "tried, which stayed within: the radius is at least that. The published v⊥ has length "
            "1 here. The tolerance is a choice, the numbers behind the figure hold the others; a "
            "radius for one token is not a radius for the trait of whole texts."
            + layers_missing(evidence, layers)
        ),
        alt="; ".join(words) + ".",
        data=rows,
        draw=draw,
    )


def _middle(tolerances: pl.Series) -> float:
    found = sorted(tolerances.unique())
    return float(found[len(found) // 2])


def _bound(value: float, reached: bool) -> str:
    return f"{'' if reached else 'at least '}{value:.2g} |v|"


def _ends(rows: pl.DataFrame) -> tuple[float, float]:
    """Limits of the axis shared by all panels, so that no marks are cut off."""
    marks = pl.concat([rows["measured"], rows["predicted"], pl.Series([1.0])]).clip(_LEAST)
    low, high = extent(marks)
    return low / 1.3, high * 1.9  # room for the arrows


def _radii(axes: Axes, rows: pl.DataFrame, names: list[str]) -> None:
    axes.axvline(1, color=MUTED, lw=0.8)
    for k, (what, filled) in enumerate((("measured", True), ("predicted", False))):
        drawn = False
        for row in rows.iter_rows(named=True):
            shown = look(row["family"])
            y = names.index(row["direction"]) + dodge(k, 2, 0.34)
            x = max(row[what], _LEAST)
            axes.plot([x], [y], ls="", marker=shown.marker, color=shown.colour, ms=4.2,
                      mfc=shown.colour if filled else PAPER)  # fmt: skip
            if not row[f"{what}_reached"]:
                axes.annotate(
                    "", (x * 1.5, y), (x, y),
                    arrowprops={"arrowstyle": "->", "color": shown.colour, "lw": 0.9},
                )  # fmt: skip
            drawn = True
        if drawn:
            axes.plot([], [], ls="", marker="o", color=MUTED, mfc=MUTED if filled else PAPER,
                      label=what)  # fmt: skip
    axes.set_xscale("log")
    logarithmic(axes, "x")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
