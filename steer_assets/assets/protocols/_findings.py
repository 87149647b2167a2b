"""Findings: whether a published conclusion survives, and which switch decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design.protocol_settings import AS_PUBLISHED, CONTROLLED, WITHOUT
from steer_assets.stats.verdicts.conclusions import Finding, Region, deciding, published_region

NOT_MEASURED = "not measured"

_CLAIMS = {
    ("orthogonal_irrelevance", "d"): "adding an orthogonal vector to v changes nothing",
    ("orthogonal_irrelevance", "share_of_v_perp"): "an orthogonal vector alone does nothing",
    ("alpha_robustness", "d"): "v + v_perp acts like v at every dose",
    ("environment_robustness", "d"): "v + v_perp acts like v in every environment",
    ("vector_equivalence", "d"): "other estimates of the direction act like v",
    ("spanning", "share_of_subspaces"): "random vectors in the span of k directions act like v",
    ("null_space_size", "jacobian_null_fraction"): (
        "the output ignores more than half of the dimensions"
    ),
    ("null_space_size", "covariance_null_fraction"): (
        "activations leave more than half of the dimensions empty"
    ),
    ("logit_equivalence", "kl_share"): "v + v_perp gives nearly the next-token distribution of v",
    ("logit_equivalence", "distance_reduction"): (
        "v + v_perp leaves the logits of v nearer than a random control does"
    ),
}
_UNITS = {
    "d": "mean d",
    "share_of_v_perp": "share of v's effect",
    "share_of_subspaces": "share of v's effect",
    "jacobian_null_fraction": "null fraction",
    "covariance_null_fraction": "null fraction",
    "kl_share": "share of v's own KL",
    "distance_reduction": "part by which the distance is smaller",
}
_WORDS = {
    "holds": "holds",
    "fails": "fails",
    "undecided": "is undecided",
    "untestable": "is untestable (v shows no effect, or the scorer cannot be believed)",
    NOT_MEASURED: "was not measured",
}

_SAME = {
    "holds": "the conclusion survives",
    "fails": "it does not hold either way",
    "undecided": "it stays open either way",
    "untestable": "it cannot be tested either way",
}


def region(asked: tuple[str, str], study: Study) -> Region:
    """The range in which the number of (conclusion, quantity) must lie, by the study's margins."""
    margins = study.statistics
    return published_region(
        asked[1], margin_sd=margins.margin_sd, margin_share=margins.margin_efficacy
    )


@dataclass(frozen=True, slots=True)
class Found:
    """Result of one setting; `number` is None if it could not be measured."""

    setting: str
    switch: str
    finding: str
    number: str
    value: float


def finding_row(asked: tuple[str, str], settings: Sequence[Found]) -> dict[str, object]:
    """Findings of both protocols, the switches that decide, and the sentence."""
    reference = _only(settings, AS_PUBLISHED)
    controlled = _only(settings, CONTROLLED)
    without = {f.switch: f for f in settings if f.setting == WITHOUT}
    decide = _deciding(reference, controlled, without)
    return {
        "conclusion": asked[0],
        "quantity": asked[1],
        "as_published": reference.finding,
        "controlled": controlled.finding,
        "touched": ", ".join(without),
        "findings_without": ", ".join(found.finding for found in without.values()),
        "deciding": ", ".join(decide),
        "sentence": _sentence(asked, reference, controlled, without, decide),
    }


def _only(found: Sequence[Found], setting: str) -> Found:
    nothing = Found(setting, "", NOT_MEASURED, "", 0.0)
    return next((f for f in found if f.setting == setting), nothing)


def _is_finding(finding: str) -> bool:
    return finding in get_args(Finding)


def _deciding(reference: Found, controlled: Found, without: Mapping[str, Found]) -> list[str]:
    if not (_is_finding(reference.finding) and _is_finding(controlled.finding)):
        return []
    measured = {s: f.finding for s, f in without.items() if _is_finding(f.finding)}
    return deciding(reference.finding, controlled.finding, measured)  # type: ignore[arg-type]


def _shown(asked: tuple[str, str], found: Found) -> str:
    words = _WORDS[found.finding]
    return f"{words} ({_UNITS[asked[1]]} {found.number})" if found.number else words


def _sentence(
    asked: tuple[str, str],
    reference: Found,
    controlled: Found,
    without: Mapping[str, Found],
    decide: list[str],
) -> str:
    start = (
        f"That {_CLAIMS[asked]} {_shown(asked, reference)} as published and "
        f"{_shown(asked, controlled)} when controlled"
    )
    if NOT_MEASURED in (reference.finding, controlled.finding):
        return f"{start}."
    if reference.finding == controlled.finding:
        return f"{start}: {_SAME[reference.finding]}."
    if decide:
        each = "; ".join(f"without {s} it {_shown(asked, without[s])}" for s in decide)
        return f"{start}; what decides is {' or '.join(decide)}: {each}."
    moved = {s: abs(f.value - reference.value) for s, f in without.items() if f.number}
    if not moved:
        return f"{start}; no switch that was measured decides alone."
    largest = max(sorted(moved), key=lambda s: moved[s])
    return (
        f"{start}; no switch decides alone, the number moves most without {largest}: it "
        f"{_shown(asked, without[largest])}."
    )
