"""Sites at which protocols read v, and the arms for which they generate texts."""

from collections.abc import Iterable
from dataclasses import dataclass

from steer_assets.catalog.layers import resolve_layers
from steer_assets.catalog.protocols import Protocol, Switch, variants
from steer_assets.catalog.studies import Study
from steer_assets.geometry.vector_ids import VectorId, base_id
from steer_assets.pipeline.design.arms import UNSTEERED, Arm

#: Families that the published conclusions rest on.
FAMILIES = (
    "base",
    "pca",
    "logistic",
    "orthogonal",
    "base_plus_orthogonal",
    "base_plus_orthogonal_matched",
    "subspace_k",
)
UNMATCHED = "base_plus_orthogonal"
MATCHED = "base_plus_orthogonal_matched"
#: Families for which equivalence with v is claimed.
OTHER_ESTIMATES = ("pca", "logistic")


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """Where v is read: one block before it is added, or at that block; from raw or templated text.

    `hidden_states[L//2]` of transformers is the output of block L//2 - 1: a v read there and added
    at block L//2 is off by one block.
    """

    offset: bool
    raw: bool

    @property
    def name(self) -> str:
        """The site's name in `protocol_vectors`."""
        return f"{'offset' if self.offset else 'same'}-{'raw' if self.raw else 'chat'}"

    def read_layer(self, layer: int) -> int:
        """The block whose output v for `layer` is read from.

        Raises:
            ValueError: there is no block before block 0.
        """
        if self.offset and layer == 0:
            raise ValueError("layer_offset reads v one block before block 0, which does not exist")
        return layer - self.offset


def site_of(on: Iterable[Switch]) -> Site:
    """The site that a set of switches implies."""
    switches = set(on)
    return Site("layer_offset" in switches, "no_chat_template" in switches)


CONTROLLED_SITE = site_of(())


def sites(study: Study) -> list[Site]:
    """Every site of the study's protocols, and the controlled one if there are any protocols."""
    found = {
        site_of(on) for protocol in study.switched_protocols for on in variants(protocol).values()
    }
    return sorted(found | {CONTROLLED_SITE}) if found else []


def layers(study: Study, n_layers: int) -> list[int]:
    """Blocks at which protocols are run."""
    texts = study.protocol_texts
    return resolve_layers(texts.layers, n_layers) if texts and study.switched_protocols else []


def headline_dose(study: Study) -> float:
    """The dose used outside the dose sweep."""
    return study.behaviour.steered_alpha


def doses(study: Study) -> list[float]:
    """Doses of v and v + v_perp, including the headline dose."""
    assert study.protocol_texts is not None
    return sorted({headline_dose(study), *study.protocol_texts.alphas})


def orthogonal_ids(study: Study, family: str, layer: int) -> list[str]:
    """Vectors of a family that is drawn with the seeds of v_perp."""
    assert study.protocol_texts is not None
    seeds = study.vectors.orthogonal_seeds[: study.protocol_texts.seeds]
    return [str(VectorId(layer, family, seed=seed)) for seed in seeds]


def spanning_ids(study: Study, layer: int) -> list[str]:
    """The first draw in the span of k directions, for every k."""
    if "subspace_k" not in study.vectors.families:
        return []
    seed = study.vectors.random_seeds[0]
    return [
        str(VectorId(layer, f"subspace_{k}", seed=seed))
        for k in sorted(study.vectors.subspace_sizes)
    ]


def other_estimate_ids(study: Study, layer: int) -> list[str]:
    """v from estimators other than the mean difference."""
    return [str(VectorId(layer, f)) for f in OTHER_ESTIMATES if f in study.vectors.families]


def arms(study: Study, protocol: Protocol, name: str, layer: int) -> list[Arm]:
    """Arms of the text set `name` at one block, without the unsteered one.

    The protocol's own set has both lengths of v + v_perp, the others have one.
    """
    on = variants(protocol)[name]
    lengths = [UNMATCHED if "unmatched_norm" in on else MATCHED]
    if name == protocol.name and "unmatched_norm" in on and MATCHED in study.vectors.families:
        lengths.append(MATCHED)
    swept = [base_id(layer)]
    for family in lengths:
        swept += orthogonal_ids(study, family, layer)
    single = other_estimate_ids(study, layer) + spanning_ids(study, layer)
    if "orthogonal" in study.vectors.families:
        single += orthogonal_ids(study, "orthogonal", layer)
    found = [Arm(vector_id, alpha) for vector_id in swept for alpha in doses(study)]
    return found + [Arm(vector_id, headline_dose(study)) for vector_id in single]


def with_unsteered(found: Iterable[Arm]) -> list[Arm]:
    """The unsteered arm first."""
    return [UNSTEERED, *found]
