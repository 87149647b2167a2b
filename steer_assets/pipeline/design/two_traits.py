"""Arms that add v and the v of another trait together, at one block.

v of the other trait is read from its own partition of the same model. The arm is compared with v
alone at the same dose and block: their difference is the interference of the other trait with the
effect of v, scored on the trait of the partition. Under a study that names both traits, each
partition has the interference with its own score.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from steer_assets.catalog import catalog
from steer_assets.catalog.studies import Study
from steer_assets.catalog.traits import Environment
from steer_assets.geometry.vector_ids import TWO_TRAITS, VectorId, base_id
from steer_assets.storage.files.parquet import DamagedFileError
from steer_assets.storage.files.tensors import read_described
from steer_assets.storage.layout import Layout, PartitionKey, partition_name
from steer_assets.storage.lineage import InputVersion, read_record

_STAGE, _VECTORS = "generations", "vector_families"


class NoOtherVectorError(LookupError):
    """v of the other trait is not stored for this block; the message says what makes it."""


@dataclass(frozen=True, slots=True)
class TwoTraits:
    """v of a partition and `times` v of another trait, both at `layer`."""

    layer: int
    trait: str
    times: float

    @property
    def vector_id(self) -> str:
        """The id of the arm's vector."""
        return str(VectorId(self.layer, TWO_TRAITS, self.trait))

    @property
    def other_id(self) -> str:
        """The name of the other trait's vector among those of the partition."""
        return f"{self.trait}/{base_id(self.layer)}"

    @property
    def parts(self) -> tuple[str, str]:
        """The vectors that are added together."""
        return base_id(self.layer), self.other_id


def other_traits(study: Study, trait: str) -> list[str]:
    """The traits whose vectors are added to v of `trait`.

    Raises:
        UnknownNameError: the study names a trait that the catalog does not have.
    """
    plan = study.generation.two_traits
    others = [name for name in plan.traits if name != trait] if plan else []
    for name in others:
        catalog.trait(name)
    return others


def declared(study: Study, trait: str, steer: Sequence[int]) -> list[TwoTraits]:
    """What the study asks for, whether or not the other traits' vectors are stored."""
    plan = study.generation.two_traits
    times = plan.times if plan else 1.0
    return [TwoTraits(b, name, times) for name in other_traits(study, trait) for b in steer]


def doses(study: Study) -> Iterable[tuple[Environment, float]]:
    """Environments and doses of these arms."""
    plan = study.generation.two_traits
    return [(e, alpha) for e in plan.environments for alpha in plan.alphas] if plan else []


def with_two_traits(
    vectors: pl.DataFrame, study: Study, trait: str, steer: Sequence[int]
) -> pl.DataFrame:
    """Names of vectors in tests (vector_id, family, null_space, layer), with these vectors."""
    rows = [(t.vector_id, TWO_TRAITS, "", t.layer) for t in declared(study, trait, steer)]
    return pl.concat([vectors, pl.DataFrame(rows, schema=vectors.schema, orient="row")])


def _file(layout: Layout, key: PartitionKey) -> Path:
    return layout.pair_file("vectors", key["model"], key["trait"], ".safetensors")


def other_vector(layout: Layout, model: str, sha256: str, one: TwoTraits) -> np.ndarray:
    """`times` v of the other trait [d], of the model with these weights.

    Raises:
        NoOtherVectorError: it is not stored, was made from other weights, or not at this block.
    """
    path = _file(layout, {"model": model, "trait": one.trait})
    wanted = f"v of {one.trait} at block {one.layer}"
    make = f"steer run --model {model} --trait {one.trait}"
    try:
        stored, about = read_described(path)
    except FileNotFoundError:
        raise NoOtherVectorError(f"{wanted} is not stored; `{make}` materialises it") from None
    except DamagedFileError as error:
        raise NoOtherVectorError(f"{wanted} cannot be read; `{make}` makes it again") from error
    if about.get("model_sha256") != sha256:
        raise NoOtherVectorError(f"{wanted} was made from other weights; `{make}` makes it again")
    if base_id(one.layer) not in stored:
        raise NoOtherVectorError(
            f"{wanted} is not stored, because that block was not steered; `{make}` under this "
            "study materialises it"
        )
    return one.times * stored[base_id(one.layer)]


def inputs(
    layout: Layout, stage_name: str, key: PartitionKey, study: Study
) -> Iterator[InputVersion]:
    """The other traits' vectors, for the stage that adds them."""
    plan = study.generation.two_traits
    if stage_name != _STAGE or plan is None:
        return
    for trait in (name for name in plan.traits if name != key["trait"]):
        other = {**key, "trait": trait}
        try:
            record = read_record(layout, _VECTORS, other)
        except DamagedFileError:
            record = None
        there = record is not None and _file(layout, other).exists()
        version = record.data_version if record and there else "missing"
        yield InputVersion(_VECTORS, partition_name(other), version)
