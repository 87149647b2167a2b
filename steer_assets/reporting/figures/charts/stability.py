"""Reliability of a null space: its size by number of prompts, and on other environments."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts.axes import dodge, listed, panels
from steer_assets.reporting.figures.charts.environments import ORDER
from steer_assets.reporting.figures.charts.nullspaces import ESTIMATORS
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import (
    BLUE,
    KIND_NAMES,
    KINDS,
    MUTED,
    PAPER,
    logarithmic,
    y_label,
)


def saturation_rows(evidence: Evidence) -> pl.DataFrame:
    """Rank by the study's estimator of each kind against the number of prompts."""
    rows = evidence.table("effective_dimension")
    chosen = evidence.study["spectra"]["estimator"]
    own = [
        rows.filter(pl.col("kind") == kind, pl.col("estimator") == estimator)
        for kind, estimator in chosen.items()
    ]
    columns = ("layer", "kind", "estimator", "n_prompts", "value", "null_fraction",
               "sampling_floor")  # fmt: skip
    found = pl.concat(own).select(columns).sort("layer", "kind", "n_prompts")
    return found.with_columns(
        largest_possible=(1 - pl.col("sampling_floor")) * _ambient_dim(evidence)
    )


def _ambient_dim(evidence: Evidence) -> float | None:
    """Width of the residual stream; None if no null space is stored."""
    widths = evidence.table("null_spaces")["ambient_dim"]
    return None if widths.is_empty() else float(widths[0])


def saturation(evidence: Evidence) -> Figure | Absent:
    """Effective dimension against the number of prompts."""
    name, title = "saturation", "Has the null space settled?"
    rows = saturation_rows(evidence)
    if rows.is_empty():
        return Absent(name, title, "No ranks of smaller sets of prompts are stored.")
    layers = sorted(rows["layer"].unique())

    def draw() -> Canvas:
        figure, grid = panels(len(layers), height=1.7, share_x=True, share_y=True, extra=0.7)
        for axes, layer in zip(grid, layers, strict=True):
            for kind, look in KINDS.items():
                part = rows.filter(pl.col("layer") == layer, pl.col("kind") == kind)
                if part.height:
                    axes.plot(part["n_prompts"], part["value"], color=look.colour, ls=look.dash,
                              marker=look.marker, ms=3.4, label=look.label)  # fmt: skip
                most = part.drop_nulls("largest_possible")
                if most.height:
                    axes.plot(most["n_prompts"], most["largest_possible"], color=look.colour,
                              ls=":", lw=1)  # fmt: skip
            axes.plot([], [], color=MUTED, ls=":", lw=1, label="most that so many prompts can show")
            logarithmic(axes)
            axes.set_title(f"layer {layer}")
        y_label(grid[0], "effective dimension")
        figure.supxlabel("prompts used", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure

    growth = _growth(evidence)
    return make(
        name,
        title,
        caption=(
            "Effective dimension (the study's estimator for each kind: "
            f"{listed(_estimators(evidence))}) of nested sets of prompts. The dotted line of each "
            "colour is the most that so many prompts can show, which is what the sampling floor "
            "leaves: prompts less one for the covariance, the sum of the prompts' own dimensions "
            "for the forms. A flat line has settled; one that climbs along its dotted line counts "
            "prompts, not directions of the model, and its null fraction would shrink with more. "
            f"Growth over the last doubling of prompts: {growth}. A line that is flat over few "
            "prompts may still rise later, and "
            "prompts of another kind may fill other directions."
        ),
        alt=f"Effective dimension against prompts at layer {listed(layers)}. Growth: {growth}.",
        data=rows,
        draw=draw,
    )


def _estimators(evidence: Evidence) -> list[str]:
    chosen = evidence.study["spectra"]["estimator"].items()
    return [f"{KIND_NAMES.get(k, k)} {ESTIMATORS.get(e, e)}" for k, e in chosen]


def growth_rows(evidence: Evidence) -> pl.DataFrame:
    """Growth per doubling between the two largest sets of prompts, by layer and kind.

    Layers and kinds with only one set, or without a rank in either, are left out.
    """
    return (
        saturation_rows(evidence)
        .with_columns(
            before=pl.col("value").shift(1).over("layer", "kind"),
            fewer=pl.col("n_prompts").shift(1).over("layer", "kind"),
        )
        .filter(
            pl.col("n_prompts") == pl.col("n_prompts").max().over("layer", "kind"),
            pl.col("before") > 0,
            pl.col("value") > 0,
        )
        .with_columns(
            doublings=(pl.col("n_prompts") / pl.col("fewer")).log(2),
            doubled=(pl.col("value") / pl.col("before")).log(2),
        )
        .with_columns(growth=2.0 ** (pl.col("doubled") / pl.col("doublings")) - 1)
        .select("layer", "kind", "n_prompts", "growth")
    )


def _growth(evidence: Evidence) -> str:
    """Growth per doubling by kind, median over layers."""
    medians = growth_rows(evidence).group_by("kind").agg(pl.col("growth").median()).sort("kind")
    words = [f"{KIND_NAMES.get(k, k)} {100 * g:.0f}%" for k, g in medians.rows()]
    return listed(words) if words else "not known"


def persistence_rows(evidence: Evidence) -> pl.DataFrame:
    """Energy of other environments' prompts in each environment's covariance null space."""
    columns = (
        "layer", "environment", "other_environment", "rank", "ambient_dim", "null_energy",
        "own_null_energy", "overlap", "expected_overlap",
    )  # fmt: skip
    rows = evidence.table("null_space_angles").filter(pl.col("compared") == "environments")
    return rows.select(columns).sort("layer", "environment", "other_environment")


def persistence(evidence: Evidence) -> Figure | Absent:
    """Whether the covariance null space of one environment holds for the others."""
    name, title = "persistence", "Does the null space hold for other prompts?"
    rows = persistence_rows(evidence)
    if rows.is_empty():
        return Absent(name, title, "No null space was compared between kinds of prompts.")
    layers = sorted(rows["layer"].unique())
    kinds = sorted(rows["environment"].unique(), key=_place)

    def draw() -> Canvas:
        figure, grid = panels(
            len(layers), height=0.32 * len(kinds) + 0.45, share_x=True, share_y=True, extra=0.6
        )
        for axes, layer in zip(grid, layers, strict=True):
            _held(axes, rows.filter(pl.col("layer") == layer), kinds)
            axes.set_title(f"layer {layer}")
        grid[0].set_yticks(range(len(kinds)), [k.replace("_", " ") for k in kinds])
        grid[0].set_ylim(len(kinds) - 0.5, -0.5)
        figure.supxlabel("energy in the null space, relative to a random one", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure

    other = f"{rows['null_energy'].to_numpy().mean():.2f}"
    held_out = rows["own_null_energy"].drop_nulls().to_numpy()
    own = f"{held_out.mean():.2f}" if len(held_out) else "not measured"
    return make(
        name,
        title,
        caption=(
            "Each row is the covariance null space fitted on one kind of prompt. Filled marks: "
            "how much energy prompts of each other kind have in it, relative to a random "
            "subspace of the same size; hollow: held-out prompts of its own kind, which it "
            "cannot beat by much. Zero would be a null space that holds exactly, one (the line) "
            "is no better than a random subspace. Filled marks near their hollow one mean that "
            f"the null space carries over. Mean: {other} for other prompts, {own} for its "
            "own. That activations leave directions empty does not mean that the output would "
            "ignore them."
        ),
        alt=f"Energy in null spaces of {len(kinds)} kinds of prompts at layer {listed(layers)}: "
        f"mean {other} for others, {own} for their own.",
        data=rows,
        draw=draw,
    )


def _place(environment: str) -> tuple[int, str]:
    return (ORDER.index(environment) if environment in ORDER else len(ORDER), environment)


def _held(axes: Axes, rows: pl.DataFrame, kinds: list[str]) -> None:
    axes.axvline(1, color=MUTED, lw=0.9)
    for kind in kinds:
        part = rows.filter(pl.col("environment") == kind)
        y = [kinds.index(kind) + dodge(k, part.height, 0.4) for k in range(part.height)]
        axes.plot(part["null_energy"], y, ls="", marker="o", color=BLUE, ms=3.6)
        own = part["own_null_energy"][:1].drop_nulls()
        axes.plot(own, [kinds.index(kind)] * len(own), "D", color=BLUE, mfc=PAPER, ms=4.4)
    axes.plot([], [], "o", color=BLUE, ms=3.6, label="other kinds")
    axes.plot([], [], "D", color=BLUE, mfc=PAPER, ms=4.4, label="its own, held out")
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
