"""A stage of the graph: a function from stored inputs to tables and files.

A stage declares its inputs, the study settings it reads, and the sources it reads from outside the
graph. These determine its Dagster asset, its lineage, and whether a stored result is still current.
The function itself receives a `StageRun` and does not depend on Dagster.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from steer_assets.catalog.layers import candidate_layers, resolve_layers
from steer_assets.catalog.studies import Study
from steer_assets.lm.opened import Opening
from steer_assets.resources.language_models import LanguageModels
from steer_assets.resources.progress import Reporter
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.layout import Layout, PartitionKey, partition_name
from steer_assets.storage.lineage import InputVersion
from steer_assets.storage.shards import Shards

if TYPE_CHECKING:
    from steer_assets.lm.model import LanguageModel

#: Versions of sources outside the graph, by name.
Sources = Callable[[PartitionKey, Study], dict[str, str]]
#: Number types of fewer than four bytes.
_HALF_PRECISION = ("bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for one part of a table, without the columns that all rows of the part have in common.

    `extra` holds further key columns of the part, for tables that two stages fill.
    """

    table: str
    frame: pl.DataFrame
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Produced:
    """Output of a stage: rows, files (path under the data folder -> content hash), and metadata."""

    rows: list[Rows]
    files: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    attachments: list[Path] = field(default_factory=list)

    @property
    def frames(self) -> dict[str, pl.DataFrame]:
        """Rows by table, of a stage that fills one part of each."""
        return {rows.table: rows.frame for rows in self.rows}


@dataclass(frozen=True, slots=True)
class StageRun:
    """The computation of one partition of one stage."""

    stage: str
    key: PartitionKey
    study: Study
    layout: Layout
    language_models: LanguageModels
    shards: Shards
    log: logging.Logger
    #: Doses that calibration chose, by block; empty where they are given by hand.
    doses: Mapping[int, float] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model of the partition."""
        return self.key["model"]

    @property
    def trait(self) -> str:
        """The trait of the partition."""
        return self.key["trait"]

    def rows(self, table: str, **extra: str) -> pl.DataFrame:
        """The stored rows of a table for this partition, by the dimensions that the table has."""
        trait_only = table in ("prompt_sets", "scorer_validation")
        dimensions = ("trait",) if trait_only else ("model",) if table == "models" else None
        key = {d: self.key[d] for d in dimensions} if dimensions else dict(self.key)
        return read_part(self.layout.part(table, {**key, **extra}))

    def progress(self, step: str) -> Reporter:
        """A progress reporter for one long step of this stage."""
        return Reporter(self.stage, partition_name(self.key), step)

    def model_facts(self) -> dict[str, Any]:
        """The row of `models`."""
        return self.rows("models").row(0, named=True)

    def steer_layers(self) -> list[int]:
        """Blocks that are steered; before calibration has chosen them, its candidates."""
        n_layers = self.model_facts()["n_layers"]
        if self.study.layers.automatic:
            return candidate_layers(n_layers)
        return resolve_layers(self.study.layers.steer, n_layers)

    def all_layers(self) -> list[int]:
        """Blocks that are steered or whose null spaces are measured."""
        named = resolve_layers(self.study.layers.geometry, self.model_facts()["n_layers"])
        return sorted({*named, *self.steer_layers()})

    def dose_at(self, layer: int) -> float:
        """The dose of a block that verdicts are headed by."""
        return self.doses.get(layer, self.study.behaviour.steered_alpha)

    def opening(self, dtype: str = "") -> Opening:
        """How the language model is opened, in the study's precision unless another is named."""
        facts = self.model_facts()
        numerics = self.study.numerics
        return Opening(
            folder=self.layout.model(self.model),
            sha256=(facts["sha256"], facts["tokenizer_sha256"]),
            date=self.study.prompts.date,
            device=numerics.device,
            dtype=dtype or numerics.dtype,
            enable_thinking=self.study.thinking.asked,
            tensor_parallel=numerics.tensor_parallel,
        )

    def language_model(self, dtype: str = "") -> LanguageModel:
        """The loaded language model, in the study's precision unless another is named."""
        return self.language_models.load(self.opening(dtype))

    @property
    def derivative_dtype(self) -> str:
        """Number type of derivatives and their predictions: float32 or higher.

        A study's precision may be lower, where differences would be mostly rounding error.
        """
        dtype = self.study.numerics.dtype
        return "float32" if dtype in _HALF_PRECISION else dtype

    def derivative_model(self) -> LanguageModel:
        """The model for derivatives and their predictions."""
        return self.language_model(self.derivative_dtype)


def no_sources(key: PartitionKey, study: Study) -> dict[str, str]:
    """For stages that read nothing from outside the graph."""
    return {}


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage and everything its freshness depends on.

    after: stages that come first, because the study may leave settings of this one to them.
    """

    name: str
    make: Callable[[StageRun], Produced]
    dimensions: tuple[str, ...]
    needs: tuple[str, ...]
    after: tuple[str, ...]
    settings: tuple[str, ...]
    sources: Sources
    code_version: str
    group: str
    kinds: frozenset[str]
    description: str

    def outside_inputs(self, key: PartitionKey, study: Study) -> list[InputVersion]:
        """Versions of code, settings and sources, keyed as in lineage."""
        inputs = [InputVersion("code", self.name, self.code_version)]
        for name, value in study.settings(self.settings).items():
            inputs.append(InputVersion("study", name, hash_json(value)))
        for name, version in self.sources(key, study).items():
            inputs.append(InputVersion("catalog", name, version))
        return inputs


#: Every stage by name, in pipeline order; filled by `stage` as the modules are imported.
STAGES: dict[str, Stage] = {}


def registered() -> dict[str, Stage]:
    """Every stage by name, in pipeline order.

    Raises:
        RuntimeError: no stage is registered; importing `steer_assets.assets` registers them.
    """
    if not STAGES:
        raise RuntimeError("no stage is registered: import steer_assets.assets first")
    return STAGES


def stage(
    *,
    dimensions: tuple[str, ...],
    group: str,
    kinds: set[str],
    code_version: str,
    needs: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    sources: Sources = no_sources,
) -> Callable[[Callable[[StageRun], Produced]], Stage]:
    """Register a function as a stage; its docstring becomes the description of the asset."""

    def register(make: Callable[[StageRun], Produced]) -> Stage:
        made = Stage(
            name=make.__name__,
            make=make,
            dimensions=dimensions,
            needs=needs,
            after=after,
            settings=settings,
            sources=sources,
            code_version=code_version,
            group=group,
            kinds=frozenset(kinds),
            description=inspect.cleandoc(make.__doc__ or ""),
        )
        STAGES[made.name] = made
        return made

    return register
