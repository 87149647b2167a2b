"""Effects of vectors on the next token: dose response, and its prediction by the Fisher form."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.evidence import UNSTEERED, Evidence, seeds_shown
from steer_assets.reporting.figures.charts.axes import (
    extent,
    layers_missing,
    panels,
    positive,
    quartiles,
)
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import (
    MUTED,
    SERIES,
    Look,
    canvas,
    logarithmic,
    look,
    vector_name,
    y_label,
)  # fmt: skip

_FLOOR = 1e-8  # nats; smaller values are rounding of float32 logits
_FROM_UNSTEERED = ("base", "base_plus_orthogonal", "orthogonal", "base_range", "base_null")


def summary(evidence: Evidence) -> pl.DataFrame:
    """Quartiles over prompts of measured and predicted KL from unsteered, per vector and dose.

    `step` is the length of the added vector, alpha times the norm, in units of the residual stream.
    """
    vectors = evidence.table("steering_vectors").select("vector_id", "family", "null_space", "norm")
    return (
        evidence.table("logit_distances")
        .filter(pl.col("reference_id") == UNSTEERED)
        .join(vectors, on="vector_id")
        .group_by("layer", "family", "null_space", "vector_id", "alpha")
        .agg(
            (pl.col("alpha") * pl.col("norm")).first().alias("step"),
            pl.len().alias("n_prompts"),
            *quartiles("kl"),
            *quartiles("predicted_kl"),
        )
        .sort("layer", "family", "vector_id", "alpha")
    )


def dose_response(evidence: Evidence) -> Figure | Absent:
    """KL from unsteered against the length of the step."""
    name = "dose_response"
    title = "Next token: distance from unsteered against the length of the step"
    rows = _one_per_family(summary(evidence).filter(pl.col("family").is_in(_FROM_UNSTEERED)))
    if rows.is_empty():
        return Absent(name, title, "No next-token distances of these vectors are stored.")
    layers = sorted(rows["layer"].unique())

    def draw() -> Canvas:
        figure, grid = panels(len(layers), height=2.2, share_x=True, share_y=True, extra=0.7)
        for axes, layer in zip(grid, layers, strict=True):
            for (family,), part in rows.filter(pl.col("layer") == layer).group_by(
                "family", maintain_order=True
            ):
                _dose_line(axes, part.sort("step"), look(str(family)))
            logarithmic(axes)
            axes.set_title(f"layer {layer}")
        y_label(grid[0], "KL (nats)")
        figure.supxlabel("length of the step (units of the residual stream)", fontsize="medium")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
        return figure

    strongest = rows.sort("kl_median", descending=True).row(0, named=True)
    return make(
        name,
        title,
        caption=(
            "The step goes from the unsteered activation along each vector; null and range parts "
            "of v are its projections on the Fisher form's two subspaces. Marks are medians over "
            f"{_counts(rows)} prompts of KL(unsteered ‖ steered) of the next token, bars the "
            "middle half of prompts; thin dotted lines are the prediction ½ e′Ge of each "
            "prompt's own Fisher form. On both logarithmic axes two is the slope that small "
            "steps give, and a line that leaves its dotted one has left the range where the "
            "prediction holds. One token says nothing about the trait of a whole text; "
            "values under 10⁻⁸ stand on the lower edge." + layers_missing(evidence, layers)
        ),
        alt=f"KL against step length on logarithmic axes at layer {', '.join(map(str, layers))}; "
        f"largest median {strongest['kl_median']:.2g} nats, by {look(strongest['family']).label}.",
        data=rows,
        draw=draw,
    )


def _one_per_family(rows: pl.DataFrame) -> pl.DataFrame:
    """Only the Fisher form's subspaces if there are several kinds, and the first seed."""
    rows = rows.filter(pl.col("null_space").is_in(["", "fisher"]))
    return rows.filter(pl.col("vector_id").is_in(seeds_shown(rows)["vector_id"].to_list()))


def _dose_line(axes: Axes, rows: pl.DataFrame, shown: Look) -> None:
    x = rows["step"].to_numpy()
    low, middle, high = (positive(rows[f"kl_{c}"], _FLOOR) for c in ("q25", "median", "q75"))
    axes.vlines(x, low, high, color=shown.colour, lw=1, alpha=0.7)
    axes.plot(x, middle, color=shown.colour, marker=shown.marker, label=shown.label, ms=3.6)
    predicted = positive(rows["predicted_kl_median"], _FLOOR)
    axes.plot(x, predicted, color=shown.colour, ls=":", lw=0.9)


def prediction(evidence: Evidence) -> Figure | Absent:
    """Measured against predicted KL, one mark per vector and dose."""
    name, title = "kl_prediction", "Does the Fisher form predict the change?"
    rows = summary(evidence)
    if rows.is_empty():
        return Absent(name, title, "No next-token distances from unsteered are stored.")
    names = [vector_name(v, f) for v, f in rows.select("vector_id", "family").rows()]
    rows = rows.with_columns(pl.Series("name", names, dtype=pl.String))
    layers = sorted(rows["layer"].unique())
    doses = sorted(rows["alpha"].unique())

    def draw() -> Canvas:
        figure = canvas(3.4)
        axes = figure.subplots()
        for dose, series in zip(doses, _cycle(len(doses)), strict=True):
            part = rows.filter(pl.col("alpha") == dose)
            axes.plot(
                positive(part["predicted_kl_median"], _FLOOR),
                positive(part["kl_median"], _FLOOR),
                ls="", marker=series.marker, color=series.colour, ms=3.4, alpha=0.8,
                label=f"α = {dose:g}",
            )  # fmt: skip
        axes.axline((1e-3, 1e-3), (1, 1), color=MUTED, lw=0.9, ls="--")
        logarithmic(axes)
        axes.set_xlabel("predicted KL, ½ e′Ge (nats)")
        y_label(axes, "measured KL (nats)")
        figure.legend(loc="outside upper left", ncols=4)
        return figure

    return make(
        name,
        title,
        caption=(
            "One mark per vector, layer and dose: median KL(unsteered ‖ steered) of the next "
            "token over prompts, against what the same prompts' Fisher forms predict. "
            "On the dashed line the second-order prediction is exact. "
            + _within(rows)
            + _breaks(evidence)
            + " A good prediction here does not carry over to generated text."
            + layers_missing(evidence, layers)
        ),
        alt="Measured against predicted KL on logarithmic axes. " + _within(rows),
        data=rows,
        draw=draw,
    )


def _within(rows: pl.DataFrame) -> str:
    """At every dose, the share of vectors predicted within a factor of two."""
    sound = rows.filter(pl.col("predicted_kl_median") > _FLOOR, pl.col("kl_median") > _FLOOR)
    ratio = pl.col("kl_median") / pl.col("predicted_kl_median")
    shares = (
        sound.group_by("alpha").agg(ratio.is_between(0.5, 2.0).mean().alias("share")).sort("alpha")
    )
    if shares.is_empty():
        return f"All values lie under {_FLOOR:g} nats."
    words = ", ".join(f"{100 * share:.0f}% at α = {alpha:g}" for alpha, share in shares.rows())
    return f"Within a factor of two of the prediction: {words}."


def _breaks(evidence: Evidence) -> str:
    """Relative error of the prediction at each step length, and where it exceeds a tenth."""
    steps = evidence.table("dose_response").filter(pl.col("reference_id") == UNSTEERED)
    arms = steps.group_by("layer", "vector_id", "step_norm").agg(
        pl.col("relative_step").mean().round(4), pl.col("kl", "predicted_kl").mean()
    )
    sound = arms.filter(pl.col("kl") > _FLOOR, pl.col("predicted_kl") > _FLOOR)
    error = (pl.col("predicted_kl") / pl.col("kl")).log().abs().median()
    medians = sound.group_by("relative_step").agg(error.alias("error")).sort("relative_step")
    if medians.is_empty():
        return ""
    words = ", ".join(f"{error:.2g} at {share:g} |h|" for share, error in medians.rows())
    broken = medians.filter(pl.col("error") >= 0.1)["relative_step"].to_list()
    where = f"it breaks from {broken[0]:g} |h| on" if broken else "it holds at all of them"
    return (
        " By length of the step, mean over prompts, the median over vectors of "
        f"|ln(predicted / measured)| is {words}: taken to hold below 0.1, {where}."
    )


def _cycle(n: int) -> list[Look]:
    return [SERIES[i % len(SERIES)] for i in range(n)]


def _counts(rows: pl.DataFrame) -> str:
    low, high = extent(rows["n_prompts"])
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
