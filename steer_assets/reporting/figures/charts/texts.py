"""How different each arm is from v: to the trait score, to the next token, to the best observer."""

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.geometry.vector_ids import NONE_ID
from steer_assets.reporting.evidence import POOLED, Evidence
from steer_assets.reporting.figures.charts.axes import (
    divergence_curves,
    interval_across,
    layers_missing,
    zero_line,
)
from steer_assets.reporting.figures.charts.doses import direction
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import (
    BAND,
    BLUE,
    KINDS,
    VERMILLION,
    Look,
    canvas,
    look,
    vector_name,
)

_NAME, _TITLE = "observers", "To whom is an arm different from v?"
_LOOKS = {
    "certified": Look("certified", BLUE, "o"),
    "open": Look("open", BLUE, "s"),
    "distinguishable": Look("distinguishable", VERMILLION, "D"),
}


def whole_texts(evidence: Evidence) -> pl.DataFrame:
    """Rows of `text_divergences` for whole texts of all prompts."""
    rows = evidence.table("text_divergences").filter(pl.col("environment") == POOLED)
    return rows.filter(pl.col("n_tokens") == pl.col("n_tokens").max())


def observed(evidence: Evidence) -> pl.DataFrame:
    """One row per arm: difference from v in the trait score, the next token, and whole texts.

    The first row of a layer is v against unsteered, as a scale for the others.
    """
    rows = whole_texts(evidence).filter(
        (pl.col("reference_id") != NONE_ID) | (pl.col("family") == "base")
    )
    keys = ["layer", "vector_id", "reference_id", "alpha"]
    scores = pl.concat(
        [
            evidence.tests(comparison)
            .filter(pl.col("environment") == POOLED)
            .select(*keys, "effect", "unit", "effect_sd", "low_sd", "high_sd")
            for comparison in ("efficacy", "against_base")
        ]
    ).unique(keys, keep="first", maintain_order=True)
    tokens = (
        evidence.table("logit_distances")
        .group_by(keys)
        .agg(pl.col("kl").mean().alias("next_token_kl"))
    )
    names = [
        "unsteered" if reference == NONE_ID else vector_name(vector, family)
        for vector, family, reference in rows.select("vector_id", "family", "reference_id").rows()
    ]
    return (
        rows.with_columns(pl.Series("name", names, dtype=pl.String))
        .join(scores, on=keys, how="left", maintain_order="left")
        .join(tokens, on=keys, how="left", maintain_order="left")
        .sort("layer", pl.col("family") != "base", "vector_id")
        .select(
            "layer", "name", "vector_id", "reference_id", "family", "alpha", "n_prompts",
            "n_tokens", "effect", "unit", "effect_sd", "low_sd", "high_sd", "next_token_kl", "kl",
            "kl_low", "kl_high", "total_variation", "total_variation_low", "total_variation_high",
            "observer_auroc", "observer_auroc_low", "observer_auroc_high", "bound_for_any_score",
            "text_verdict",
        )
    )  # fmt: skip


def observers(evidence: Evidence) -> Figure | Absent:
    """Three views of the difference between each arm and v."""
    rows = observed(evidence)
    if rows.is_empty():
        return Absent(_NAME, _TITLE, "No likelihoods of whole texts are stored.")
    layers = sorted(rows["layer"].unique())

    def draw() -> Canvas:
        figure = canvas(0.2 * rows.height + 0.45 * len(layers) + 0.7)
        counts = [rows.filter(pl.col("layer") == layer).height for layer in layers]
        grid = figure.subplots(
            len(layers), 3, sharex="col", squeeze=False,
            gridspec_kw={"height_ratios": [n + 1.5 for n in counts]},
        )  # fmt: skip
        for line, layer in zip(grid, layers, strict=True):
            _draw(line, rows.filter(pl.col("layer") == layer), evidence.margin)
            line[0].set_title(f"layer {layer}", loc="left")
        # After all marks: axes of a column are shared, and a limit ends their adjustment.
        grid[0][1].set_xlim(left=0)
        grid[0][2].set_xlim(0.48, 1.02)
        for axes, label in zip(
            grid[-1], ("trait score\n(SD)", "next token\n(nats)", "best observer\n(AUROC)"),
            strict=True,
        ):  # fmt: skip
            axes.set_xlabel(label)
        return figure

    told = [f"{n} {v}" for v in _LOOKS if (n := rows.filter(pl.col("text_verdict") == v).height)]
    return make(
        _NAME,
        _TITLE,
        caption=(
            "Each row is an arm against v, the first one v against unsteered texts. Left: mean "
            "difference in trait score in standard deviations, with its margin as a band. Middle: "
            "mean KL divergence of the next token after the prompt. Right: the AUROC with which "
            "the best possible observer tells one text of the arm from one of v, from the exact "
            f"probability of texts of {rows['n_tokens'][0]} tokens under both; one half is "
            "chance, and no judge of a prompt and its text does better. Bars are "
            f"{evidence.confidence} intervals over prompts. Round: certified, no score of a text "
            "differs by more than the study's share of its range; diamond: some score does; "
            "square: open." + layers_missing(evidence, layers)
        ),
        alt=f"{rows.height} arms against v by three observers: {', '.join(told)}.",
        data=rows,
        draw=draw,
    )


def _draw(line: Any, rows: pl.DataFrame, margin: float) -> None:
    score, token, text = line
    score.axvspan(-margin, margin, color=BAND, lw=0, zorder=0)
    zero_line(score, vertical=True)
    for y, row in enumerate(rows.iter_slices(1)):
        mark = _LOOKS[row["text_verdict"][0]]
        if row["effect_sd"][0] is not None:
            interval_across(score, [y], row, mark)
        if row["next_token_kl"][0] is not None:
            token.plot(row["next_token_kl"], [y], mark.marker, color=mark.colour)
        seen = row.select(
            effect_sd="observer_auroc", low_sd="observer_auroc_low", high_sd="observer_auroc_high"
        )
        interval_across(text, [y], seen, mark)
    for axes in line:
        _rows(axes, rows if axes is score else None, rows.height)


def _rows(axes: Axes, rows: pl.DataFrame | None, n: int) -> None:
    axes.set_yticks(range(n), [""] * n if rows is None else rows["name"].to_list())
    axes.set_ylim(n - 0.3, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


_LAW, _LAW_TITLE = "text_law", "How long may v⊥ be before whole texts change?"
_NULL_OF_TEXTS = ("base_plus_null", "text")
_LEAST = 1e-4  # nats; smaller divergences are drawn here


def law_rows(evidence: Evidence) -> pl.DataFrame:
    """Measured and predicted KL of whole texts along every step around v."""
    rows = (
        evidence.table("text_predictions").drop_nulls("kl").filter(pl.col("family") != "external")
    )
    names = [direction(f, n) for f, n in rows.select("family", "null_space").rows()]
    return rows.select(
        "layer", "vector_id", "family", "null_space",
        pl.Series("direction", names, dtype=pl.String),
        "multiple", "step_norm", "n_texts", "kl", "kl_low", "kl_high",
        "predicted_kl", "predicted_kl_low", "predicted_kl_high",
    ).sort("layer", "vector_id", "multiple")  # fmt: skip


def _of_next_token(rows: pl.DataFrame) -> str:
    """Which null spaces beside that of texts are drawn, or that the study measures none."""
    if (rows["null_space"] == "fisher").any():
        return " or in the null space of the next token's Fisher form (of the others, see the data)"
    others = rows.filter(~pl.col("null_space").is_in(["", "text"]))
    if others.is_empty():
        return " (this study measures no texts along v⊥ in the null spaces of the next token)"
    return ""


def law(evidence: Evidence) -> Figure | Absent:
    """KL of whole texts from v against the length of the added vector."""
    rows = law_rows(evidence)
    if rows.is_empty():
        return Absent(_LAW, _LAW_TITLE, "No steps around v are stored.")
    layers = sorted(rows["layer"].unique())
    # Of the null spaces of the next token one is drawn for legibility; the figure's data have all.
    shown = rows.filter(pl.col("null_space").is_in(["", "fisher", "text"]))

    def draw() -> Canvas:
        return divergence_curves(
            shown,
            x="multiple",
            bars=("kl_low", "kl_high"),
            floor=_LEAST,
            look_of=lambda *kind: KINDS["text"] if kind == _NULL_OF_TEXTS else look(kind[0]),
            labels=("step as a multiple of v⊥", "KL from v (nats per text)"),
        )

    far = shown.filter(pl.col("multiple") == pl.col("multiple").max())
    told = [f"layer {a}, {b}: {c:.2g} nats" for a, b, c in far.select(
        "layer", "direction", "kl").rows()]  # fmt: skip
    return make(
        _LAW,
        _LAW_TITLE,
        caption=(
            f"KL of a whole text when a step is added to v, from {rows['n_texts'][0]} texts of v "
            f"read under both arms: towards v + v⊥ with v⊥ at random{_of_next_token(rows)} and "
            "along a direction of the length of v in the null space of the Fisher form of whole "
            f"texts, or in its leading subspace (range). Bars are {evidence.confidence} intervals "
            "over prompts; dotted lines are the prediction ½ e′Ge. N texts have at most N "
            "directions, so what their form calls null may be unseen rather than ignored: "
            "where its line lies far above its dotted one, the "
            "texts of other prompts do move. Values under 10⁻⁴ stand on the lower edge."
            + layers_missing(evidence, layers)
        ),
        alt="KL of whole texts against step length on logarithmic axes. " + "; ".join(told) + ".",
        data=rows,
        draw=draw,
    )
