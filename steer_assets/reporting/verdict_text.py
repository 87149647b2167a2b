"""The verdict in plain sentences with numbers, for each layer.

The sentences state the stored verdicts and tests and draw no further conclusions. A difference that
was not found is never reported as evidence of equivalence.
"""

from dataclasses import dataclass
from typing import Any

import polars as pl

from steer_assets.reporting.evidence import POOLED, Evidence
from steer_assets.reporting.figures.charts.axes import listed
from steer_assets.reporting.figures.charts.forest import comparisons
from steer_assets.reporting.figures.charts.nullspaces import ESTIMATORS
from steer_assets.reporting.figures.charts.stability import growth_rows
from steer_assets.reporting.observer_text import sentence as observed_sentence
from steer_assets.reporting.tables.formats import NO_BOUND

#: Stored if no number of prompts would be enough.
NEVER = 2**31 - 1
VERDICTS = ("equivalent", "different", "inconclusive", "untestable")
SYMBOLS = {"equivalent": "≈", "different": "≠", "inconclusive": "?", "untestable": "∅"}
MEANINGS = {
    "equivalent": "the equivalence test is significant: the difference is shown to be inside the "
    "margin, for every seed",
    "different": "the difference is significant and its interval is not inside the margin, for at "
    "least one seed",
    "inconclusive": "neither a difference nor equivalence is shown",
    "untestable": "v shows no effect of its own there, or none that exceeds the margin (what does "
    "nothing would be equivalent, too), or the scorer cannot be believed",
}


@dataclass(frozen=True, slots=True)
class LayerVerdict:
    """The sentences on one layer; `verdict` is empty if no row is stored."""

    layer: int
    verdict: str
    sentences: tuple[str, ...]
    reason: str


def number(value: float | None, digits: int = 2) -> str:
    """Fixed digits and a true minus sign; zero after rounding has no sign; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def percent(share: float | None, none: str = "–") -> str:
    """A share of 0 to 1 in per cent; `none` for None."""
    return none if share is None else f"{100 * share:.0f}%"


def headline(evidence: Evidence) -> str:
    """The whole report in one sentence."""
    rows = evidence.reports
    trait = evidence.trait_title.lower()
    if rows.is_empty():
        return (
            f"No verdict on {trait} in {evidence.model_title}: no comparison of v with v + v⊥ is "
            "stored for this model and trait."
        )
    parts = [
        phrase.format(where=_where(rows, value), margin=f"{evidence.margin:g}")
        for value, phrase in _HEADLINES.items()
        if (rows["verdict"] == value).any()
    ]
    return f"{evidence.trait_title} in {evidence.model_title}: {'; '.join(parts)}."


_HEADLINES = {
    "equivalent": "{where} v + v⊥ is shown to act like v within ±{margin} SD of the trait score",
    "different": "{where} v + v⊥ is shown to act differently from v",
    "inconclusive": "{where} it stays open whether v + v⊥ acts like v",
    "untestable": "{where} nothing can be said of v + v⊥",
}


def _where(rows: pl.DataFrame, verdict: str) -> str:
    found = rows.filter(pl.col("verdict") == verdict)
    effects = [
        f"layer {r['layer']} (v moves the score by {_interval(r, 'efficacy')} SD)"
        if r["efficacy"] is not None
        else f"layer {r['layer']} (what v does could not be measured)"
        for r in found.iter_rows(named=True)
    ]
    return f"at {listed(effects)}"


def _interval(row: dict[str, Any], value: str) -> str:
    middle, low, high = (number(row[c]) for c in (value, f"{value}_low", f"{value}_high"))
    return f"{middle} [{low}, {high}]"


def layer_verdicts(evidence: Evidence) -> list[LayerVerdict]:
    """One entry for every steered layer, including those of the study without results."""
    rows = {row["layer"]: row for row in evidence.reports.iter_rows(named=True)}
    return [
        _layer(evidence, layer, rows[layer]) if layer in rows else _nothing(layer)
        for layer in evidence.steered_layers
    ]


def _nothing(layer: int) -> LayerVerdict:
    words = f"The study steers layer {layer}, but no verdict is stored for it."
    return LayerVerdict(layer, "", (words,), "")


def _layer(evidence: Evidence, layer: int, row: dict[str, Any]) -> LayerVerdict:
    sentences = [
        _steers(evidence, layer, row),
        _alike(evidence, layer, row),
        observed_sentence(evidence, layer),
        _null(evidence, row),
        _other_scorers(evidence, layer, row["verdict"]),
    ]
    told = tuple(words for words in sentences if words)
    return LayerVerdict(layer, row["verdict"], told, row["reason"])


def _other_scorers(evidence: Evidence, layer: int, verdict: str) -> str:
    """The verdicts of other scorers where they differ; empty where all agree."""
    others = evidence.table("equivalence_reports").filter(
        pl.col("layer") == layer,
        pl.col("protocol") == "controlled",
        pl.col("scorer") != evidence.scorer,
        pl.col("verdict") != verdict,
    )
    if others.is_empty():
        return ""
    told = [f"by {name} it is {found}" for name, found in others.select("scorer", "verdict").rows()]
    return f"Scorers do not agree on this verdict: {listed(told)}."


def _steers(evidence: Evidence, layer: int, row: dict[str, Any]) -> str:
    """Whether v has an effect."""
    if row["efficacy"] is None:
        return f"Whether v steers could not be measured: {row['reason']}."
    positive, negative = evidence.poles
    size = f"{_interval(row, 'efficacy')} SD ({evidence.confidence} interval)"
    test = evidence.tests("efficacy").filter(
        pl.col("family") == "base",
        pl.col("layer") == layer,
        pl.col("environment") == POOLED,
        evidence.at_headline_dose,
    )
    adjusted = None if test.is_empty() else float(test["p_difference_adjusted"][0])
    level = float(evidence.study["statistics"]["significance"])
    clear = row["efficacy_low"] > 0 or row["efficacy_high"] < 0
    shown = clear if adjusted is None else adjusted < level
    p = "" if adjusted is None else f", adjusted {_p(adjusted)}"
    n = "" if test.is_empty() else f" over {test['n_prompts'][0]} prompts"
    if not shown:
        return f"v shows no significant effect of its own: {size}{n}{p}."
    pole = positive if row["efficacy"] > 0 else negative
    against = "" if row["efficacy"] > 0 else ", against its intent"
    return f"v steers towards {pole}{against}: {size}{n}{p}."


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def _alike(evidence: Evidence, layer: int, row: dict[str, Any]) -> str:
    """Whether v + v_perp acts like v."""
    if row["verdict"] == "untestable":
        return "v + v⊥ cannot be compared with v here: the verdict is untestable."
    lead = {
        "equivalent": "v + v⊥ is shown to act like v",
        "different": "v + v⊥ is shown to act differently from v",
        "inconclusive": "Whether v + v⊥ acts like v stays open",
    }[row["verdict"]]
    families = evidence.families.filter(
        pl.col("family") == "base_plus_orthogonal", pl.col("layer") == layer
    )
    rows = comparisons(evidence).filter(
        pl.col("family") == "base_plus_orthogonal", pl.col("layer") == layer
    )
    if families.is_empty() or rows.is_empty():
        return f"{lead}; the comparison behind it is not stored."
    family = families.row(0, named=True)
    words = f"{lead}: {_seeds(evidence, family)}, margin ±{evidence.margin:g} SD"
    words += _at_look(evidence, family)
    if row["verdict"] == "inconclusive":
        needed = family["n_prompts_needed"]
        would = f"would take about {needed}" if needed < NEVER else "would take more than there are"
        words += (
            f". Neither a difference nor equivalence is shown with {rows['n_prompts'][0]} prompts; "
            f"if there were no difference in any seed, showing equivalence {would}"
        )
    return words + "."


def _at_look(evidence: Evidence, family: dict[str, Any]) -> str:
    """At which look, and with how many texts; nothing where there is one look."""
    n = len(evidence.study["generation"]["looks"])
    return "" if n == 1 else f"; look {family['look']} of {n}, {family['n_texts']} texts"


def _seeds(evidence: Evidence, family: dict[str, Any]) -> str:
    """Number of seeds within the margin, and their distance from v regardless of sign."""
    low, high = percent(family["share_low"]), percent(family["share_high"])
    n = family["n_seeds"]
    share = f"{family['n_inside']} of {n} random v⊥ {'are' if n > 1 else 'is'} shown inside"
    words = f"{share} (share of all v⊥ {low} to {high}, {evidence.confidence} interval)"
    if family["rms_effect"] is None:
        return words
    rms, upper = number(family["rms_effect"]), number(family["rms_upper"])
    return f"{words}, root mean square difference {rms} SD, at most {upper} SD"


def _null(evidence: Evidence, row: dict[str, Any]) -> str:
    estimator = str(evidence.study["spectra"]["estimator"]["fisher"])
    found = growth_rows(evidence).filter(
        pl.col("kind") == "fisher", pl.col("layer") == row["layer"]
    )
    growth = ""
    if found.height:
        growth = (
            f"; the rank grew by {percent(found['growth'][0])} over the last doubling of prompts"
        )
    return (
        f"Null fraction of the Fisher form, by {ESTIMATORS.get(estimator, estimator)}: "
        f"{percent(row['null_fraction_fisher'])} of directions "
        f"(sampling floor: {percent(row['sampling_floor_fisher'], NO_BOUND)}){growth}."
    )
