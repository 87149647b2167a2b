"""Fluency of the steered texts; two broken texts have equal scores on any trait."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.broken_texts import broken_texts
from steer_assets.reporting.evidence import UNSTEERED, Evidence
from steer_assets.reporting.figures.charts.axes import quartiles
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import (
    BAND,
    BLUE,
    MUTED,
    VERMILLION,
    canvas,
    logarithmic,
    vector_name,
)
from steer_assets.stats.verdicts.broken_texts import FEWEST

_NAME, _TITLE = "fluency", "Are the texts still language?"


def fluency_rows(evidence: Evidence) -> pl.DataFrame:
    """Perplexity and repetition per arm, with those of unsteered texts and the study's limits."""
    texts = evidence.table("generations").filter(pl.col("protocol") == "controlled")
    keys = ["vector_id", "family", "layer"]
    # Multi-layer arms have no vectors of their own, so their names come from the tests.
    tables = [evidence.table(t).select(keys) for t in ("steering_vectors", "equivalence_tests")]
    vectors = pl.concat(tables).unique("vector_id", keep="first", maintain_order=True)
    fluent = evidence.table("fluency").join(
        texts.select("generation_id", "vector_id", "alpha", "prompt_id", "sample"),
        on="generation_id",
    )
    by_arm = (
        fluent.group_by("vector_id", "alpha")
        .agg(
            pl.len().alias("n_texts"),
            *quartiles("perplexity"),
            pl.col("repetition").mean(),
            pl.col("distinct_2").mean(),
        )
        .join(vectors, on="vector_id", how="left")
    )
    usual = by_arm.filter(pl.col("vector_id") == UNSTEERED)
    if usual.is_empty():
        return by_arm.clear().with_columns(name=pl.lit(""), broken=pl.lit(False))
    limits = evidence.study["fluency"]
    plain = usual.row(0, named=True)
    most = float(limits["perplexity_factor"]) * plain["perplexity_median"]
    repeats = float(limits["repetition"]) + plain["repetition"]
    names = [
        "unsteered" if v == UNSTEERED else f"L{layer} {vector_name(v, f or '')}, α = {a:g}"
        for v, f, layer, a in by_arm.select("vector_id", "family", "layer", "alpha").rows()
    ]
    judged = broken_texts(fluent, limits).select("vector_id", "alpha", "n_judged", "broken")
    return (
        by_arm.with_columns(
            pl.Series("name", names, dtype=pl.String),
            perplexity_limit=pl.lit(most),
            repetition_limit=pl.lit(repeats),
        )
        .join(judged, on=["vector_id", "alpha"], how="left")
        .with_columns(pl.col("broken").fill_null(False))
        .sort("layer", "family", "vector_id", "alpha")
    )


def fluency(evidence: Evidence) -> Figure | Absent:
    """Median perplexity and mean repetition of every arm, with the limits of the guard."""
    rows = fluency_rows(evidence)
    if rows.is_empty():
        return Absent(
            _NAME, _TITLE, "No fluency of texts is stored, so no verdict was guarded against "
            "texts that are broken alike."
        )  # fmt: skip

    def draw() -> Canvas:
        figure = canvas(0.18 * rows.height + 0.9)
        left, right = figure.subplots(1, 2, sharey=True)
        _perplexity(left, rows)
        _repetition(right, rows)
        left.set_yticks(range(rows.height), rows["name"].to_list())
        left.set_ylim(rows.height - 0.4, -0.6)
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=3)
        return figure

    broken = rows.filter("broken")["name"].to_list()
    found = ", ".join(broken) if broken else "none"
    factor, more = (evidence.study["fluency"][k] for k in ("perplexity_factor", "repetition"))
    return make(
        _NAME,
        _TITLE,
        caption=(
            "Left: perplexity of the texts of each arm under the unsteered model, median and "
            "middle half; right: share of repeated n-grams, mean. Larger is worse in both. The "
            f"shaded part begins at {factor:g} times the unsteered perplexity, and {more:g} above "
            "the unsteered repetition. An arm counts as broken where its mean over prompts lies "
            f"beyond with 95 % confidence, on at least {FEWEST} prompts. "
            f"Broken arms here: {found}. An arm that is broken is never called equivalent, for two "
            "broken texts score alike on any trait. Low perplexity is not good writing, and "
            "steered texts may rightly be less usual."
        ),
        alt=f"Perplexity and repetition of {rows.height} arms; broken: {found}.",
        data=rows,
        draw=draw,
    )


def _colours(rows: pl.DataFrame) -> list[str]:
    return [VERMILLION if broken else BLUE for broken in rows["broken"]]


def _perplexity(axes: Axes, rows: pl.DataFrame) -> None:
    y = range(rows.height)
    limit = rows["perplexity_limit"][0]
    low, middle, high = (rows[f"perplexity_{c}"].to_numpy() for c in ("q25", "median", "q75"))
    axes.hlines(y, low, high, color=_colours(rows), lw=1.2)
    for broken, marker, label in ((False, "o", "fluent"), (True, "X", "broken")):
        at = [k for k in y if rows["broken"][k] is broken]
        if at:
            colour = VERMILLION if broken else BLUE
            axes.plot(middle[at], at, ls="", marker=marker, color=colour, label=label)
    right = max(high.max(), limit) * 1.3
    axes.axvspan(limit, right, color=BAND, lw=0, zorder=0)
    unsteered = rows.filter(pl.col("vector_id") == UNSTEERED)["perplexity_median"][0]
    axes.axvline(unsteered, color=MUTED, lw=0.8, label="unsteered")
    axes.set_xscale("log")
    axes.set_xlim(right=right)
    logarithmic(axes, "x")
    axes.set_xlabel("perplexity")
    _plain_axis(axes)


def _repetition(axes: Axes, rows: pl.DataFrame) -> None:
    y = list(range(rows.height))
    limit = rows["repetition_limit"][0]
    values = rows["repetition"].to_numpy()
    for k in y:
        broken = rows["broken"][k]
        axes.plot(values[k], k, ls="", marker="X" if broken else "o",
                  color=VERMILLION if broken else BLUE)  # fmt: skip
    right = max(1.0, limit) if limit < 1 else limit
    axes.axvspan(limit, right, color=BAND, lw=0, zorder=0)
    axes.axvline(
        rows.filter(pl.col("vector_id") == UNSTEERED)["repetition"][0], color=MUTED, lw=0.8
    )
    axes.set_xlim(-0.03, right)
    axes.set_xlabel("repetition")
    _plain_axis(axes)


def _plain_axis(axes: Axes) -> None:
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
