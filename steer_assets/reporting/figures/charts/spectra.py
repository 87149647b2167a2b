"""Spectra of the activations and of the output's response, with the spectrum of pure noise."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.evidence import POOLED, Evidence
from steer_assets.reporting.figures.charts.axes import listed, panels, positive
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import (
    BLUE,
    KIND_NAMES,
    MUTED,
    PAPER,
    SERIES,
    VERMILLION,
    logarithmic,
)  # fmt: skip

# relative to the largest: below this, float32 activations contain rounding error only
_BOTTOM = 1e-5


def covariance(evidence: Evidence) -> Figure | Absent:
    """Standard deviations along the principal axes of the pooled activations."""
    name, title = "spectra_covariance", "How the activations spread"
    rows = (
        evidence.table("svd_spectra")
        .filter(pl.col("environment") == POOLED)
        .select("layer", "index", "singular_value", "cumulative_variance", "noise_edge")
        .sort("layer", "index")
    )
    if rows.is_empty():
        return Absent(name, title, "No pooled spectrum of the activation covariance is stored.")
    layers = sorted(rows["layer"].unique())
    samples = _samples(evidence)

    def draw() -> Canvas:
        figure, grid = panels(len(layers), height=1.75, share_x=True, share_y=True)
        for axes, layer in zip(grid, layers, strict=True):
            _spectrum(axes, rows.filter(pl.col("layer") == layer), samples.get(layer))
            axes.set_title(f"layer {layer}")
        figure.supylabel("share of the largest value", fontsize="medium")
        figure.supxlabel("axis, from the widest", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure

    above = rows.filter(pl.col("singular_value") > pl.col("noise_edge"))
    counts = {layer: above.filter(pl.col("layer") == layer).height for layer in layers}
    beyond = [f"{n} at layer {layer}" for layer, n in counts.items()]
    missing = sorted(set(evidence.measured_layers) - set(layers))
    gap = f" No spectrum is stored for layer {listed(missing)}." if missing else ""
    return make(
        name,
        title,
        caption=(
            "Standard deviation of the residual stream along each principal axis, all neutral "
            "prompts pooled, relative to the widest axis; both axes are logarithmic. The dashed "
            "line is the Marchenko-Pastur edge: axes below it are indistinguishable from noise. "
            "The dotted vertical line is the number of prompts less one: no spectrum can reach "
            "beyond it, whatever the model. The thin lines are the common thresholds of 5% and "
            "1%; the marks are where 95% and 99% of the variance are reached. Axes above the "
            f"noise edge: {listed(beyond)}.{_nothing(counts)} A steep fall shows where "
            "activations lie, not which directions the output ignores: that is the next figure."
            + gap
        ),
        alt=f"Falling spectra at {len(layers)} layers. Above the noise edge: {listed(beyond)}.",
        data=rows,
        draw=draw,
    )


def _nothing(above_the_edge: dict[int, int]) -> str:
    """Note on layers where no axis exceeds the noise, which leaves the null space undefined."""
    silent = [layer for layer, n in above_the_edge.items() if not n]
    if not silent:
        return ""
    return (
        f" At layer {listed(silent)} nothing was found: no axis stands out of isotropic noise, and "
        "a null fraction by any other estimator is that of the number of prompts."
    )


def _samples(evidence: Evidence) -> dict[int, int]:
    rows = evidence.table("null_spaces").filter(
        pl.col("kind") == "covariance", pl.col("environment") == POOLED
    )
    return dict(rows.select("layer", "n_samples").unique(maintain_order=True).rows())


def _spectrum(axes: Axes, rows: pl.DataFrame, n_samples: int | None) -> None:
    values = rows["singular_value"].to_numpy()
    share = positive(values / values[0], _BOTTOM)
    for threshold in (0.05, 0.01):
        axes.axhline(threshold, color=MUTED, lw=0.4)
    axes.plot(rows["index"] + 1, share, color=BLUE, label="spectrum")
    axes.axhline(
        rows["noise_edge"][0] / values[0], color=VERMILLION, ls="--", lw=1, label="noise edge"
    )
    if n_samples is not None:
        axes.axvline(n_samples - 1, color=MUTED, ls=":", lw=1, label="prompts less one")
    for level, marker in ((0.95, "o"), (0.99, "s")):
        at = int((rows["cumulative_variance"] < level - 1e-12).sum())
        at = min(at, rows.height - 1)
        axes.plot(at + 1, share[at], ls="", marker=marker, color=BLUE, mfc=PAPER,
                  label=f"{level:.0%} of variance")  # fmt: skip
    logarithmic(axes)


def behaviour(evidence: Evidence) -> Figure | Absent:
    """Spectra of the Jacobian Gram and of the Fisher form, unsteered and steered."""
    name, title = "spectra_behaviour", "How the output responds"
    rows = (
        evidence.table("behavioral_spectra")
        .select("kind", "at", "layer", "n_prompts", "index", "singular_value")
        .sort("kind", "layer", "at", "index")
    )
    if rows.is_empty():
        return Absent(name, title, "No spectrum of the Jacobian or of the Fisher form is stored.")
    kinds = [k for k in ("jacobian", "fisher") if k in set(rows["kind"])]
    layers = sorted(rows["layer"].unique())

    def draw() -> Canvas:
        figure, grid = panels(len(kinds), height=2.2, share_x=True, share_y=True, extra=0.7)
        for axes, kind in zip(grid, kinds, strict=True):
            for layer, series in zip(layers, SERIES * len(layers), strict=False):
                for at, dash in (("unsteered", "-"), ("steered", ":")):
                    part = rows.filter(
                        pl.col("kind") == kind, pl.col("layer") == layer, pl.col("at") == at
                    )
                    if part.is_empty():
                        continue
                    values = part["singular_value"].to_numpy()
                    label = f"layer {layer}" if at == "unsteered" else "_nolegend_"
                    axes.plot(part["index"] + 1, positive(values / values[0], _BOTTOM),
                              color=series.colour, ls=dash, lw=1.1, label=label)  # fmt: skip
            logarithmic(axes)
            axes.set_title(KIND_NAMES[kind])
            if (rows["at"] == "steered").any():
                axes.plot([], [], color=MUTED, ls=":", lw=1.1, label="after steering by v")
        figure.supylabel("share of the largest value", fontsize="medium")
        figure.supxlabel("direction, from the most sensitive", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
        return figure

    prompts = sorted(rows["n_prompts"].unique())
    absent = [KIND_NAMES[k] for k in ("jacobian", "fisher") if k not in kinds]
    return make(
        name,
        title,
        caption=(
            "How far the next-token output moves for a step of fixed length along each direction "
            "at the last prompt token, relative to the most sensitive direction: in the logits "
            "(Jacobian) and in the distribution (Fisher), exact derivatives averaged over "
            f"{listed(prompts)} prompts. Solid lines are taken unsteered, dotted ones after "
            "steering by v. A direction far down is one along which the output barely moves at "
            "first order in the step. So few prompts leave most directions far down whatever the "
            "model (the floors of the figure before say how many): other prompts would fill some "
            "of them, and later tokens and long steps are not shown."
            + (f" No rows are stored for {listed(absent)}." if absent else "")
        ),
        alt=f"Falling spectra, {listed([KIND_NAMES[k] for k in kinds])}, layer {listed(layers)}.",
        data=rows,
        draw=draw,
    )
