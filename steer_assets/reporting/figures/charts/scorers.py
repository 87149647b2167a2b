"""Reliability of the scorers: separation of labelled texts, and agreement with each other."""

import re

import polars as pl
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts.axes import extent, listed
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import BAND, BLUE, MUTED, canvas


def validation_rows(evidence: Evidence) -> pl.DataFrame:
    """AUROC of every validated scorer, including those that prompt the model itself."""
    columns = ("scorer", "n_positive", "n_negative", "auroc", "auroc_low", "auroc_high")
    tables = ("scorer_validation", "judge_validation")
    return pl.concat(evidence.table(name).select(columns) for name in tables).sort("scorer")


def validation(evidence: Evidence) -> Figure | Absent:
    """AUROC of every scorer with its interval and the floor of the study."""
    name, title = "scorers", "Can the scorer be believed?"
    rows = validation_rows(evidence)
    if rows.is_empty():
        return Absent(name, title, "No scorer was validated for this trait.")
    floor = float(evidence.study["scoring"]["auroc_floor"])

    def draw() -> Canvas:
        figure = canvas(0.3 * rows.height + 0.75)
        axes = figure.subplots()
        low = min(0.45, extent(rows["auroc_low"])[0] - 0.05)
        axes.axvspan(low, floor, color=BAND, lw=0, zorder=0)
        axes.axvline(0.5, color=MUTED, lw=0.8)
        y = range(rows.height)
        axes.hlines(y, rows["auroc_low"], rows["auroc_high"], color=BLUE)
        axes.plot(rows["auroc"], y, "o", color=BLUE)
        axes.set_yticks(y, rows["scorer"].to_list())
        axes.set_ylim(rows.height - 0.5, -0.5)
        axes.set_xlim(low, 1.01)
        axes.set_xlabel("AUROC")
        axes.grid(visible=False, axis="y")
        return figure

    values = [f"{s} {a:.2f}" for s, a in rows.select("scorer", "auroc").rows()]
    return make(
        name,
        title,
        caption=(
            "Area under the ROC curve: the chance that a text of the positive pole scores above "
            "one of the negative pole, on labelled texts of topics that the scorer was not "
            f"fitted on, with {evidence.confidence} interval. 0.5 is guessing; a scorer whose "
            f"interval reaches the shaded part below {floor:g} may not carry a verdict. Labelled "
            "texts are clean examples: the figure does not show how well the scorer does on the "
            "output of this model." + _silent(evidence)
        ),
        alt=f"AUROC of scorers: {', '.join(values)}; floor {floor:g}.",
        data=rows,
        draw=draw,
    )


def _silent(evidence: Evidence) -> str:
    names = evidence.silent_scorers
    if not names:
        return ""
    return (
        f" Not available here: {listed(names)}; the study asks for "
        f"{'it' if len(names) == 1 else 'them'}, but no text was scored."
    )


def agreement_rows(evidence: Evidence) -> pl.DataFrame:
    """Rank correlation of every pair of scorers under the controlled protocol."""
    rows = evidence.table("scorer_agreement").filter(pl.col("protocol") == "controlled")
    return rows.select(
        "scorer_a", "scorer_b", "what", "n_prompts", "spearman", "low", "high", "kappa"
    ).sort("what", "scorer_a", "scorer_b")


_EFFECTS = re.compile(r"effects of L(\d+)\.base at (.+)")


def compared(what: str) -> str:
    """The texts or effects on which two scorers were compared."""
    return _EFFECTS.sub(r"effects of v at layer \1, α = \2", what)


def agreement(evidence: Evidence) -> Figure | Absent:
    """Agreement of the scorers on texts and on the effects of v."""
    name, title = "agreement", "Do the scorers agree?"
    rows = agreement_rows(evidence)
    if rows.is_empty():
        scored = sorted(set(evidence.table("classifier_scores")["scorer"]))
        why = "No agreement between scorers is stored."
        if len(scored) == 1:
            why = f"Only one scorer scored texts here ({scored[0]}): it has nobody to agree with."
        return Absent(name, title, why + _silent(evidence))
    names = [
        f"{a} – {b}: {compared(what)}"
        for a, b, what in rows.select("scorer_a", "scorer_b", "what").rows()
    ]

    def draw() -> Canvas:
        figure = canvas(0.42 * rows.height + 0.65)
        axes = figure.subplots()
        axes.axvline(0, color=MUTED, lw=0.8)
        left = min(-0.1, extent(rows["low"])[0] - 0.05)
        y = range(rows.height)
        axes.hlines(y, rows["low"], rows["high"], color=BLUE)
        axes.plot(rows["spearman"], y, "o", color=BLUE)
        # The names of two scorers do not fit the margin: they are placed above the bars.
        for at, label in zip(y, names, strict=True):
            axes.text(left, at - 0.28, f" {label}", va="center", fontsize="medium")
        axes.set_yticks([])
        axes.set_ylim(rows.height - 0.5, -0.7)
        axes.set_xlim(left, 1.02)
        axes.set_xlabel("rank correlation")
        axes.grid(visible=False, axis="y")
        return figure

    weakest = rows.sort("spearman").row(0, named=True)
    words = f"{weakest['scorer_a']} and {weakest['scorer_b']} on {compared(weakest['what'])}"
    return make(
        name,
        title,
        caption=(
            "Spearman's rank correlation between two scorers, over texts and over the effects of v "
            f"on single prompts, with {evidence.confidence} interval over prompts. One means that "
            "they order everything alike, zero that one says nothing of the other. Agreement on "
            "texts can be high while the effects, which are differences of noisy scores, agree "
            "less; and scorers that share a blind spot agree too. Least agreement: "
            f"{words}, {weakest['spearman']:.2f}." + _silent(evidence)
        ),
        alt=f"Agreement of {rows.height} pairs; least: {words}, {weakest['spearman']:.2f}.",
        data=rows,
        draw=draw,
    )
