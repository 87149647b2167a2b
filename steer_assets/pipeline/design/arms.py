"""Arms of a study: which vector, at which dose, on which prompts."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from steer_assets.catalog.layers import resolve_layers
from steer_assets.catalog.sections.generation import Arms
from steer_assets.catalog.studies import Study
from steer_assets.geometry.vector_ids import NONE_ID
from steer_assets.pipeline.design import multi_layer, two_traits
from steer_assets.pipeline.design.two_traits import TwoTraits

#: The unsteered arm: no vector is added.


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """One arm; `none` at alpha 0 is unsteered."""

    vector_id: str
    alpha: float


UNSTEERED = Arm(NONE_ID, 0.0)


def _wanted(block: Arms, steer: list[int], n_layers: int) -> pl.Expr:
    layers = resolve_layers(block.layers, n_layers) if block.layers else steer
    if outside := sorted(set(layers) - set(steer)):
        raise ValueError(f"generation.arms names blocks {outside}, steered are {steer}")
    subspaces = pl.col("family").str.starts_with("subspace_") & ("subspace_k" in block.families)
    wanted = pl.col("layer").is_in(layers) & (
        pl.col("family").is_in(block.families) | subspaces | (pl.col("family") == "external")
    )
    if block.seeds is None:
        return wanted
    place = pl.col("seed").rank("dense").over("family", "null_space", "layer")
    return wanted & (place <= block.seeds)


def last_looks(
    study: Study, vectors: pl.DataFrame, steer: list[int], n_layers: int
) -> dict[Arm, int]:
    """The last look, from 1, that a study gives an arm; those not named have all looks."""
    found: dict[Arm, int] = {}
    every = len(study.generation.looks)
    for block in study.generation.arms:
        for name in vectors.filter(_wanted(block, steer, n_layers))["vector_id"]:
            for arm in (Arm(name, alpha) for alpha in block.alphas):
                found[arm] = max(found.get(arm, 1), block.looks or every)
    return found


def arms_by_environment(
    study: Study,
    vectors: pl.DataFrame,
    steer: list[int],
    n_layers: int,
    pairs: Iterable[TwoTraits] = (),
) -> dict[str, list[Arm]]:
    """Arms of each environment, the unsteered one first, then in the order of the vectors.

    pairs: v with another trait's vector, of those that the study asks for.
    """
    chosen: dict[str, dict[Arm, None]] = {}
    for block in study.generation.arms:
        ids = vectors.filter(_wanted(block, steer, n_layers))["vector_id"]
        for environment in block.environments:
            arms = chosen.setdefault(environment, {UNSTEERED: None})
            arms.update(dict.fromkeys(Arm(name, alpha) for name in ids for alpha in block.alphas))
    together = multi_layer.multi_vectors(study, steer)
    for environment, alpha in multi_layer.doses(study):
        arms = chosen.setdefault(environment, {UNSTEERED: None})
        arms.update(dict.fromkeys(Arm(several.vector_id, alpha) for several in together))
    for environment, alpha in two_traits.doses(study):
        arms = chosen.setdefault(environment, {UNSTEERED: None})
        arms.update(dict.fromkeys(Arm(pair.vector_id, alpha) for pair in pairs))
    return {environment: list(arms) for environment, arms in chosen.items()}
