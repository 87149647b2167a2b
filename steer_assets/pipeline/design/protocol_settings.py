"""The settings that protocols are compared at: as published, each switch off alone, controlled."""

from collections.abc import Iterator
from dataclasses import dataclass

from steer_assets.catalog.protocols import SUBSTRING_LABELS, Protocol, Switch

AS_PUBLISHED = "as_published"
WITHOUT = "without"
CONTROLLED = "controlled"


@dataclass(frozen=True, slots=True)
class Setting:
    """Switches that are on; `switch` is the one that is off alone, or empty."""

    name: str
    switch: str
    on: frozenset[Switch]


#: Switches that touch everything that is read off texts.
_TEXTS: tuple[Switch, ...] = (
    "layer_offset",
    "label_substring",
    "no_baseline",
    "unsigned_mean_d",
    "prompt_included",
    "independent_sampling",
    "no_chat_template",
)
#: (conclusion, quantity) -> switches that change its number, or how it is read: without
#: `unsigned_mean_d` it is read by its interval, without `no_baseline` v has to act first.
TOUCHED: dict[tuple[str, str], tuple[Switch, ...]] = {
    ("orthogonal_irrelevance", "d"): (*_TEXTS, "unmatched_norm"),
    ("orthogonal_irrelevance", "share_of_v_perp"): _TEXTS,
    ("alpha_robustness", "d"): (*_TEXTS, "unmatched_norm"),
    ("environment_robustness", "d"): (*_TEXTS, "unmatched_norm"),
    ("vector_equivalence", "d"): _TEXTS,
    ("spanning", "share_of_subspaces"): _TEXTS,
    ("null_space_size", "jacobian_null_fraction"): (
        "layer_offset",
        "unsigned_mean_d",
        "finite_difference",
        "no_chat_template",
    ),
    ("null_space_size", "covariance_null_fraction"): (
        "layer_offset",
        "unsigned_mean_d",
        "no_chat_template",
    ),
    ("logit_equivalence", "kl_share"): (
        "layer_offset",
        "unsigned_mean_d",
        "unmatched_norm",
        "no_chat_template",
    ),
    ("logit_equivalence", "distance_reduction"): (
        "layer_offset",
        "unsigned_mean_d",
        "unmatched_norm",
        "no_chat_template",
        "replaced_control",
    ),
}


def settings(protocol: Protocol, conclusion: str, quantity: str, trait: str) -> Iterator[Setting]:
    """As published, with each switch that touches the number off alone, and controlled."""
    on = frozenset(protocol.switches)
    yield Setting(AS_PUBLISHED, "", on)
    for switch in protocol.switches:
        if switch not in TOUCHED[conclusion, quantity]:
            continue
        if switch == "label_substring" and trait not in SUBSTRING_LABELS:
            continue  # its labels do not contain one another
        yield Setting(WITHOUT, switch, on - {switch})
    yield Setting(CONTROLLED, "", frozenset())
