"""Which published conclusions hold after the switches of the published procedure are turned off."""

from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts.axes import dodge, listed
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import BAND, BLUE, MUTED, PAPER, VERMILLION, canvas
from steer_assets.stats.verdicts.conclusions import published_region

_NAME, _TITLE = "protocols", "Published conclusions, as published and controlled"
_KEY = ["protocol", "scorer", "layer", "conclusion", "quantity"]
_NO_SCORER = "none"
#: (conclusion, quantity) -> its claim, in the order of the report.
CLAIMS = {
    ("orthogonal_irrelevance", "d"): "v + v⊥ acts like v",
    ("orthogonal_irrelevance", "share_of_v_perp"): "v⊥ alone does nothing",
    ("alpha_robustness", "d"): "v + v⊥ acts like v at every dose",
    ("environment_robustness", "d"): "v + v⊥ acts like v for all prompts",
    ("vector_equivalence", "d"): "other estimates act like v",
    ("spanning", "share_of_subspaces"): "any vector in the span acts like v",
    ("null_space_size", "jacobian_null_fraction"): "output ignores most directions",
    ("null_space_size", "covariance_null_fraction"): "activations leave most empty",
    ("logit_equivalence", "kl_share"): "v + v⊥ gives v's next token",
    ("logit_equivalence", "distance_reduction"): "v + v⊥ nearer to v than a control",
}
_UNITS = {"d": "mean d (SD of the score)"}
_SHARES = "share (of what: see the caption)"
#: Finding under control -> the phrase for one conclusion, and for several.
_SURVIVAL = {
    "holds": ("holds", "hold"),
    "fails": ("does not hold", "do not hold"),
    "undecided": ("stays undecided", "stay undecided"),
    "untestable": ("cannot be tested here", "cannot be tested here"),
    "not measured": ("was not measured", "were not measured"),
}


def claim(conclusion: str, quantity: str) -> str:
    """A published conclusion in a few words."""
    return CLAIMS.get((conclusion, quantity)) or f"{conclusion} ({quantity})".replace("_", " ")


def findings(evidence: Evidence) -> pl.DataFrame:
    """Published conclusions by the deciding scorer or without one, in the order of `CLAIMS`."""
    rows = evidence.table("protocol_findings").filter(
        pl.col("scorer").is_in([evidence.scorer, _NO_SCORER])
    )
    order = list(CLAIMS)
    asked = rows.select("conclusion", "quantity").rows()
    place = [order.index(a) if a in CLAIMS else len(order) for a in asked]
    return (
        rows.with_columns(
            pl.Series("claim", [claim(*a) for a in asked], dtype=pl.String),
            pl.Series("place", place, dtype=pl.Int32),
        )
        .sort("protocol", "place", "conclusion", "quantity", "layer")
        .drop("place")
    )


def survival(evidence: Evidence) -> str:
    """Which published conclusions survive, in a sentence; empty if none was tested."""
    rows = findings(evidence)
    if rows.is_empty():
        return ""
    several = rows["layer"].n_unique() > 1
    parts = []
    for finding, (one, many) in _SURVIVAL.items():
        found = rows.filter(pl.col("controlled") == finding)
        names = [
            f"{c}, layer {n}" if several else c for c, n in found.select("claim", "layer").rows()
        ]
        if names:
            verb = one if len(names) == 1 else many
            parts.append(f"{len(names)} {verb} ({'; '.join(names)})")
    held = rows.filter(pl.col("as_published") == "holds")
    kept = held.filter(pl.col("controlled") == "holds").height
    end = f" Of the {held.height} that hold as published, {kept or 'none'} survive"
    end = f"{end}{'s' if kept < 2 else ''}." if held.height else ""
    return f"Controlled, of {rows.height} published conclusions {', '.join(parts)}.{end}"


def protocol_rows(evidence: Evidence) -> pl.DataFrame:
    """The number of each conclusion, as published and controlled, with intervals and findings."""
    numbers = evidence.table("protocol_comparison")
    rows = findings(evidence).select(
        *_KEY,
        "claim",
        "deciding",
        finding_published="as_published",
        finding_controlled="controlled",
    )
    for setting in ("as_published", "controlled"):
        own = numbers.filter(pl.col("setting") == setting).select(
            *_KEY,
            pl.col("value").alias(setting),
            pl.col("low").alias(f"{setting}_low"),
            pl.col("high").alias(f"{setting}_high"),
            pl.col("by_itself").alias(f"{setting}_by_itself"),
        )
        rows = rows.join(own, on=_KEY, how="left", maintain_order="left")
    return rows


def switch_rows(evidence: Evidence) -> pl.DataFrame:
    """Every number behind the sentences: as published, each switch off separately, controlled."""
    columns = (
        "setting", "switch", "value", "low", "high", "by_itself", "n_prompts", "finding"
    )  # fmt: skip
    order = findings(evidence).select(*_KEY, "claim")
    numbers = evidence.table("protocol_comparison").select(*_KEY, *columns)
    return order.join(numbers, on=_KEY, how="inner", maintain_order="left_right")


def protocols(evidence: Evidence) -> Figure | Absent:
    """Numbers of published conclusions as published and controlled, with the required region."""
    everything = protocol_rows(evidence)
    rows = everything.filter(
        pl.col("as_published").is_not_null() | pl.col("controlled").is_not_null()
    )
    if rows.is_empty():
        why = "The published procedure was not run in this study."
        if everything.height:
            why = "No number of a published conclusion could be measured in this study."
        return Absent(_NAME, _TITLE, why)
    groups = [
        (label, part)
        for label, part in (
            (_UNITS["d"], rows.filter(pl.col("quantity") == "d")),
            (_SHARES, rows.filter(pl.col("quantity") != "d")),
        )
        if part.height
    ]

    def draw() -> Canvas:
        heights = [part.height for _, part in groups]
        figure = canvas(0.3 * sum(heights) + 0.5 * len(groups) + 0.5)
        grid = figure.subplots(
            len(groups), 1, squeeze=False, gridspec_kw={"height_ratios": [h + 1 for h in heights]}
        )
        for axes, (label, part) in zip(grid.flat, groups, strict=True):
            _panel(axes, part, evidence)
            axes.set_xlabel(label)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2)
        return figure

    unmeasured = everything.filter(
        pl.col("as_published").is_null() & pl.col("controlled").is_null()
    )["claim"].to_list()
    left_out = f" Not measured in this study: {listed(unmeasured)}." if unmeasured else ""
    return make(
        _NAME,
        _TITLE,
        caption=(
            "Each row is one published conclusion as a number: as the published procedure computes "
            f"it (hollow) and with every oddity mended (filled, with {evidence.confidence} "
            "interval). The shaded part is where the number must lie for the conclusion to hold; "
            "controlled, the whole interval has to, and where as few samples would put any model "
            "there it stays undecided. The small tick is what the published procedure gives where "
            "there is nothing to find: a hollow mark near it says little, wherever it lies. Shares "
            "are of v's effect, of all dimensions, of v's own KL from unsteered, and of the "
            "control's distance from v. "
            "The figure does not show which oddity makes the difference: the sentences below "
            "and the table of switches do." + left_out
        ),
        alt=survival(evidence),
        data=rows,
        draw=draw,
    )


def _panel(axes: Axes, rows: pl.DataFrame, evidence: Evidence) -> None:
    statistics = evidence.study["statistics"]
    low, high = _limits(rows)
    several = rows["layer"].n_unique() > 1
    names = []
    for y, row in enumerate(rows.iter_rows(named=True)):
        region = published_region(
            row["quantity"],
            margin_sd=float(statistics["margin_sd"]),
            margin_share=float(statistics["margin_efficacy"]),
        )
        start, end = max(region.low, low), min(region.high, high)
        axes.fill_betweenx([y - 0.42, y + 0.42], start, end, color=BAND, lw=0, zorder=0,
                           label="" if y else "conclusion holds")  # fmt: skip
        _published(axes, row, y + dodge(0, 2, 0.36), (low, high), first=y == 0)
        _controlled(axes, row, y + dodge(1, 2, 0.36), (low, high), first=y == 0)
        names.append(f"{row['claim']}, L{row['layer']}" if several else row["claim"])
    axes.set_xlim(low, high)
    axes.set_yticks(range(rows.height), names)
    axes.set_ylim(rows.height - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _limits(rows: pl.DataFrame) -> tuple[float, float]:
    """Axis limits for marks and regions; long intervals are cut off."""
    values = rows.select("as_published", "controlled", "as_published_by_itself").to_numpy()
    known = values[np.isfinite(values.astype(float))].astype(float)
    return min(-0.3, max(known.min() - 0.2, -3.0)), max(1.15, min(known.max() + 0.2, 3.0))


def _published(
    axes: Axes, row: dict[str, Any], y: float, ends: tuple[float, float], *, first: bool
) -> None:
    if first:
        axes.plot([], [], "D", color=VERMILLION, mfc=PAPER, label="as published")
        axes.plot([], [], "|", color=MUTED, ms=7, label="where nothing is there")
    if row["as_published"] is None:
        return
    x = float(np.clip(row["as_published"], *ends))
    axes.plot([x], [y], "D", color=VERMILLION, mfc=PAPER)
    axes.plot([row["as_published_by_itself"]], [y], "|", color=MUTED, ms=7, mew=1.2)


def _controlled(
    axes: Axes, row: dict[str, Any], y: float, ends: tuple[float, float], *, first: bool
) -> None:
    if first:
        axes.plot([], [], "o", color=BLUE, label="controlled")
    if row["controlled"] is None:
        return
    x = float(np.clip(row["controlled"], *ends))
    axes.hlines([y], row["controlled_low"], row["controlled_high"], color=BLUE, lw=1.2)
    axes.plot([x], [y], "o", color=BLUE)
