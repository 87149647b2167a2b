"""The sentence of a layer on what observers of whole texts can see."""

import polars as pl

from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.figures.charts.axes import extent
from steer_assets.reporting.figures.charts.texts import observed
from steer_assets.stats.divergences.bounds import share_seen

_HEADLINE = "base_plus_orthogonal"


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
