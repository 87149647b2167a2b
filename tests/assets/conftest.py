"""The stages from activations to logit distances on a tiny random model: seconds, no hub."""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
import yaml

from steer_assets.assets import STAGES
from steer_assets.catalog.studies import Study
from steer_assets.lm.measurements.capture import capture
from steer_assets.paths import REPOSITORY, SQL
from steer_assets.pipeline.dagster_asset import _write_rows
from steer_assets.pipeline.stage import Produced, StageRun
from steer_assets.pipeline.working_point import settled
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.layout import Layout
from steer_assets.storage.shards import Shards
from tests.lm.conftest import HIDDEN, LAYERS, VOCAB, build

MODEL, TRAIT = "tiny", "sentiment"
LAYER = 2


class _OneModel:
    """In place of the resource that loads models from their folders."""

    def __init__(self) -> None:
        self.lm = build("llama")
        self.lm.encode = _encode  # type: ignore[method-assign]

    def load(self, *_args: object, **_options: object) -> Any:
        return self.lm


def _encode(texts: Sequence[str], **_options: object) -> list[list[int]]:
    """Words as token ids, after two that all prompts begin with."""
    return [
        [1, 5, *(3 + zlib.crc32(word.encode()) % (VOCAB - 3) for word in text.split())]
        for text in texts
    ]


@dataclass
class Tiny:
    """A data folder in which stages can be made one by one."""

    layout: Layout
    study: Study
    models: _OneModel

    def run(self, stage: str) -> StageRun:
        dimensions = STAGES[stage].dimensions
        key = {k: v for k, v in {"model": MODEL, "trait": TRAIT}.items() if k in dimensions}
        shards = Shards(self.layout, stage, key, "0")
        log = logging.getLogger("tiny")
        return StageRun(stage, key, self.study, self.layout, self.models, shards, log)  # type: ignore[arg-type]

    def make(self, stage: str) -> Produced:
        run = self.run(stage)
        run.shards.begin()
        produced = STAGES[stage].make(settled(run))
        _write_rows(self.layout, produced, STAGES[stage], run.key, "test")
        run.shards.clear()
        return produced

    def rows(self, table: str, **extra: str) -> pl.DataFrame:
        return self.run("logit_distances").rows(table, **extra)


def neutral(tiny: Tiny) -> list[np.ndarray]:
    """Activations of the tokens after the shared two of every test prompt [n, d]."""
    prompts = tiny.run("svd_spectra").rows("prompt_sets").filter(pl.col("role") == "test")
    ids = tiny.models.lm.encode(prompts["text"].to_list())
    return [
        tokens[2:].astype(np.float64)
        for batch in capture(tiny.models.lm, ids, [LAYER], positions="all")
        for tokens in batch[LAYER]
    ]


def ask(query: str, view: str, table: str, rows: pl.DataFrame) -> pl.DataFrame:
    """What a view answers over rows of its one table."""
    with duckdb.connect() as connection:
        connection.execute((SQL / "tables" / f"{table}.sql").read_text())
        connection.register("given", rows.to_arrow())
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")
        connection.execute((SQL / "views" / f"{view}.sql").read_text())
        return connection.sql(query).pl()


def tiny_study() -> Study:
    value = yaml.safe_load((REPOSITORY / "tests" / "studies" / "smoke.yaml").read_text())
    value["layers"] = {"steer": [LAYER], "geometry": ["L/4", LAYER]}
    value["behaviour"] = {"prompts": 4}
    value["generation"]["arms"][-1]["layers"] = [LAYER]
    del value["generation"]["multi_layer"]  # of one block there are not several
    value["protocol_texts"]["layers"] = [LAYER]
    value["dose"] = {"prompts": 3, "relative_steps": [1e-4, 0.01, 0.1, 1.0]}
    value["logits"] = {"prompts": 3, "alphas": [0.5, 1.0]}
    return Study.model_validate(value)


UP_TO_VECTORS = (
    "prompt_sets",
    "activation_caches",
    "covariance_matrices",
    "svd_spectra",
    "behavioral_spectra",
    "vector_families",
)


@pytest.fixture(scope="package")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    layout = Layout(Path(tmp_path_factory.mktemp("tiny")).resolve())
    facts = {
        "model": MODEL, "source": "test", "revision": "", "sha256": "0", "tokenizer_sha256": "0",
        "architecture": "LlamaForCausalLM", "n_layers": LAYERS, "hidden_size": HIDDEN,
        "vocab_size": VOCAB, "n_parameters": 1, "dtype": "float32", "path": "", "run_id": "",
        "self_test_causal": 0.0, "self_test_batch": 0.0, "self_test_hook": 0.0,
        "self_test_prefix": 0.0, "self_test_tokens": 24,
        "finite_dtypes": "float32,bfloat16,float16",
        "code_version": "",
    }  # fmt: skip
    write_part(layout.part("models", {"model": MODEL}), pl.DataFrame([facts]))
    world = Tiny(layout, tiny_study(), _OneModel())
    for stage in UP_TO_VECTORS:
        world.make(stage)
    return world
