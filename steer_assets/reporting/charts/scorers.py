"""Can the scorers be believed: separation of labelled texts."""

from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.charts.parts import extent
from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures import Absent, Figure, make
from steer_assets.reporting.style import BAND, BLUE, MUTED, canvas


def validation(evidence: Evidence) -> Figure | Absent:
    """AUROC of every scorer with its interval and the floor of the study."""
    name, title = "scorers", "Can the scorer be believed?"
    rows = evidence.table("scorer_validation").select(
        "scorer", "n_positive", "n_negative", "auroc", "auroc_low", "auroc_high"
    )
    rows = rows.sort("scorer")
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
            "output of this model."
        ),
        alt=f"AUROC of scorers: {', '.join(values)}; floor {floor:g}.",
        data=rows,
        draw=draw,
    )
