"""How different each arm is from v: to the trait score, to the next token, to the best observer."""

from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from steer_assets.geometry.vector_ids import NONE_ID
from steer_assets.reporting.evidence import POOLED, Evidence
from steer_assets.reporting.figures.charts.axes import (
    extent,
    interval_across,
    layers_missing,
    zero_line,
)
from steer_assets.reporting.figures.figure import Absent, Figure, make
from steer_assets.reporting.figures.style import BAND, BLUE, VERMILLION, Look, canvas, vector_name
from steer_assets.stats.divergences.bounds import share_seen

_NAME, _TITLE = "observers", "To whom is an arm different from v?"
_HEADLINE = "base_plus_orthogonal"
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
        look = _LOOKS[row["text_verdict"][0]]
        if row["effect_sd"][0] is not None:
            interval_across(score, [y], row, look)
        if row["next_token_kl"][0] is not None:
            token.plot(row["next_token_kl"], [y], look.marker, color=look.colour)
        seen = row.select(
            effect_sd="observer_auroc", low_sd="observer_auroc_low", high_sd="observer_auroc_high"
        )
        interval_across(text, [y], seen, look)
    for axes in line:
        _rows(axes, rows if axes is score else None, rows.height)


def _rows(axes: Axes, rows: pl.DataFrame | None, n: int) -> None:
    axes.set_yticks(range(n), [""] * n if rows is None else rows["name"].to_list())
    axes.set_ylim(n - 0.3, -0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def sentence(evidence: Evidence, layer: int) -> str:
    """What any observer of whole texts can see of v + v_perp at a layer; empty without a row."""
    rows = observed(evidence).filter(pl.col("layer") == layer, pl.col("family") == _HEADLINE)
    if rows.is_empty():
        return ""
    verdicts = set(rows["text_verdict"])
    texts = f"whole texts of {rows['n_prompts'][0]} prompts"
    most = float(rows["bound_for_any_score"].to_numpy().max())
    if verdicts == {"certified"}:
        return (
            f"For every scorer at once: no score of a text differs between v + v⊥ and v by more "
            f"than {100 * most:.1f}% of its range ({texts}: certified)."
        )
    low, high = extent(rows["total_variation"])
    apart = f"{100 * low:.0f}%" if low == high else f"{100 * low:.0f}% to {100 * high:.0f}%"
    auroc = [f"{value:.2f}" for value in extent(rows["observer_auroc"])]
    lead = (
        f"{_one_in(high)} of v + v⊥ gives it away"
        if "distinguishable" in verdicts
        else "Whether a text of v + v⊥ gives it away stays open"
    )
    return (
        f"{lead}: the best possible observer of one text tells it from v with an AUROC of "
        f"{' to '.join(dict.fromkeys(auroc))} (total variation {apart}, {texts})"
        f"{_seen(evidence, rows)}."
    )


def _scores(evidence: Evidence) -> pl.DataFrame:
    """Scores of the controlled texts by the deciding scorer, with their arms."""
    texts = evidence.table("generations").filter(pl.col("protocol") == "controlled")
    scored = evidence.table("classifier_scores").filter(pl.col("scorer") == evidence.scorer)
    return texts.select("generation_id", "vector_id", "alpha").join(
        scored.select("generation_id", "score"), on="generation_id"
    )


def _one_in(share: float) -> str:
    """`one in five`, as a share of texts; above two in three almost every one."""
    if share > 2 / 3:
        return "Nearly every text"
    words = {2: "two", 3: "three", 4: "four", 5: "five"}
    n = max(2, round(1 / share)) if share > 0 else 0
    return f"About one in {words.get(n, str(n))} texts"


def _seen(evidence: Evidence, rows: pl.DataFrame) -> str:
    """Of the largest difference that a score of this range could show, the share that it shows."""
    scores = _scores(evidence)
    shares = []
    for row in rows.drop_nulls("effect").iter_rows(named=True):
        own = scores.filter(
            pl.col("vector_id").is_in([row["vector_id"], row["reference_id"]]),
            pl.col("alpha") == row["alpha"],
        )["score"]
        if own.len():
            low, high = extent(own)
            share = share_seen(row["effect"], high - low, row["total_variation"])
            shares += [] if share is None else [share]
    if not shares:
        return ""
    return (
        f"; the trait score shows at most {100 * max(shares):.0f}% of the difference that a score "
        "of its range could show"
    )
