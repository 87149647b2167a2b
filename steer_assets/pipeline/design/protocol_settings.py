"""Protocol settings under comparison: as published, each switch off separately, controlled."""

from collections.abc import Iterator
from dataclasses import dataclass

from steer_assets.catalog.protocols import SUBSTRING_LABELS, Protocol, Switch

AS_PUBLISHED = "as_published"
WITHOUT = "without"
CONTROLLED = "controlled"


@dataclass(frozen=True, slots=True)
class Setting:
    """The switches that are on; `switch` is the one that was turned off, or empty."""

    name: str
    switch: str
    on: frozenset[Switch]


#: Switches that affect every quantity computed from texts.
_TEXTS: tuple[Switch, ...] = (
    "layer_offset",
    "label_substring",
    "no_baseline",
    "unsigned_mean_d",
    "prompt_included",
    "independent_sampling",
    "no_chat_template",
)
#: (conclusion, quantity) -> switches that change the number or its interpretation: without
#: `unsigned_mean_d` the number is judged by its interval, without `no_baseline` an effect of v is
#: required first.
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
    """As published, each relevant switch off separately, and controlled."""
    on = frozenset(protocol.switches)
    yield Setting(AS_PUBLISHED, "", on)
    for switch in protocol.switches:
        if switch not in TOUCHED[conclusion, quantity]:
            continue
        if switch == "label_substring" and trait not in SUBSTRING_LABELS:
            continue  # the switch has no effect: no label contains another
        yield Setting(WITHOUT, switch, on - {switch})
    yield Setting(CONTROLLED, "", frozenset())
