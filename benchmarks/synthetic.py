"""A data folder as it looks after years of use: every stage of many models, with its lineage.

Texts have the lengths that the studies give; ids, hashes and paths those that stages write. Parts
that are there already are kept, so that a build that was ended is carried on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from steer_assets import assets  # noqa: F401 - fills STAGES
from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.pipeline.stage import Stage
from steer_assets.storage.database import syncing, warehouse
from steer_assets.storage.database.tables import prepare
from steer_assets.storage.layout import Layout, PartitionKey, partition_name
from steer_assets.storage.lineage import TABLE
from steer_assets.storage.schema import columns, conform, table_statements

STUDY = "standard"
#: Of these, one part per partition is written in bulk; the others hold a few rows.
_BULK = ("generations", TABLE, "expected_inputs", "models", "prompt_sets", "scorer_validation")
_FILES = 2
_WORDS = 35
_SENTENCES = 1 << 15
_SETS = 8  # of texts, in turn: no column is compressed across partitions


@dataclass(frozen=True)
class Size:
    """How much there is."""

    partitions: int = 200
    generations: int = 50_000  # per partition
    lineage: int = 1_000_000  # in all, by making each artifact several times


def version(*what: object) -> str:
    """A hash such as data versions are, of anything."""
    return hashlib.sha256(repr(what).encode()).hexdigest()


def pairs(size: Size) -> list[PartitionKey]:
    """Models by traits, as many as asked for."""
    traits = catalog.trait_keys()
    return [
        {"model": f"owner--model-{n // len(traits):04d}-instruct", "trait": traits[n % len(traits)]}
        for n in range(size.partitions)
    ]


def _pool(rng: np.random.Generator) -> pl.Series:
    """Sentences of made-up words, as long as a model's; texts are put together from them."""
    letters = np.array(list("etaoinshrdlcumwfgypbvk"))
    words = pl.Series("".join(rng.choice(letters, n)) for n in rng.integers(2, 10, 3000))
    drawn = (words[rng.integers(0, len(words), _SENTENCES)] for _ in range(_WORDS // 4))
    return pl.select(pl.concat_str(*drawn, separator=" ") + ". ").to_series()


class Texts:
    """Generations of one partition after another."""

    def __init__(self, size: Size, seed: int = 1) -> None:
        self._rng = np.random.default_rng(seed)
        self._pool = _pool(self._rng)
        self._size = size

    def _say(self, n: int, sentences: int) -> pl.Series:
        drawn = self._rng.integers(0, _SENTENCES, (sentences, n))
        return pl.select(pl.concat_str(*(self._pool[at] for at in drawn))).to_series()

    def frame(self, key: PartitionKey, run_id: str) -> pl.DataFrame:
        """Arms x 100 prompts x 5 samples, 35 words each."""
        n = self._size.generations
        at = np.arange(n)
        prompts = self._say(100, 2)
        ids = [f"{key['model'][:8]}{run_id[:8]}{i:016x}" for i in at]
        rows: dict[str, Any] = {
            "generation_id": ids,
            "protocol": np.where(at % 3 == 0, "reference", "controlled"),
            "vector_id": [f"L15.orthogonal.s{i}" for i in at // 500],
            "alpha": 0.5 * (at // 500 % 5),
            "environment": np.where(at % 100 < 60, "in_distribution", "topic_shift"),
            "prompt_id": [f"in_distribution-{i:03d}" for i in at % 100],
            "sample": at // 100 % 5,
            "seed": self._rng.integers(0, 2**62, 500)[at % 500],
            "prompt": prompts[at % 100],
            "text": self._say(n, 4),
            "n_tokens": 40,
            "finish_reason": "length",
            "token_ids": pl.Series(self._rng.zipf(1.3, (n, 40)) % 49152).arr.to_list(),
            "log_probability": -self._rng.gamma(20, 3, n),
            "least_token_log_probability": -self._rng.gamma(4, 1.5, n),
            "least_token": self._rng.integers(0, 40, n),
        }
        shared = {**key, "run_id": run_id, "code_version": "1"}
        frame = pl.DataFrame(rows).with_columns(pl.lit(v).alias(k) for k, v in shared.items())
        return conform(frame, "generations")


def partitions_of(stage: Stage, keys: list[PartitionKey]) -> list[PartitionKey]:
    """Partitions of a stage, given those of model and trait."""
    own = [{name: key[name] for name in stage.dimensions} for key in keys]
    return list({partition_name(key): key for key in own}.values())


def _inputs(stage: Stage, key: PartitionKey, keys: list[PartitionKey], made: int) -> Iterator[Any]:
    yield "code", stage.name, "1"
    yield "catalog", f"traits/{key.get('trait', 'all')}", version("catalog", key)
    for name in catalog.study(STUDY).settings(stage.settings):
        yield "study", name, version(name)
    for name in stage.needs:
        upstream = STAGES[name]
        near = [key] if set(upstream.dimensions) <= set(key) else keys
        for found in partitions_of(upstream, near):
            yield name, partition_name(found), version(name, partition_name(found), made)


def lineage(stage: Stage, key: PartitionKey, keys: list[PartitionKey], times: int) -> pl.DataFrame:
    """The record of an artifact made `times` times, a week apart."""
    name = partition_name(key)
    paths = [f"tables/{stage.name}/{name}/{i}/part.parquet" for i in range(_FILES)]
    rows = [
        {
            "data_version": version(stage.name, name, made),
            "input_asset_key": asset,
            "input_partition": partition,
            "input_data_version": found,
            "path": path,
            "file_sha256": version(path, made),
            "mlflow_run_id": version("mlflow", stage.name, name, made)[:32],
            "run_id": version("run", name, made)[:32],
            "created_at": datetime(2026, 1, 1) + timedelta(weeks=made),
        }
        for made in range(times)
        for path in paths
        for asset, partition, found in _inputs(stage, key, keys, made)
    ]
    shared = {
        "asset_key": stage.name, "partition": name, "model": key.get("model", ""),
        "trait": key.get("trait", ""), "study": STUDY, "bytes": 1 << 20, "code_version": "1",
    }  # fmt: skip
    frame = pl.DataFrame(rows).with_columns(pl.lit(v).alias(k) for k, v in shared.items())
    return conform(frame, TABLE)


def times_made(size: Size) -> int:
    """How often each artifact must have been made for so many rows of lineage."""
    keys, once = pairs(size), 0
    for stage in STAGES.values():
        own = partitions_of(stage, keys)
        once += len(own) * _FILES * len(list(_inputs(stage, own[0], keys, 0)))
    return -(-size.lineage // once)


def _small(table: str, key: PartitionKey) -> pl.DataFrame:
    filler = {pl.String: "x", pl.Boolean: True}
    row = {name: filler.get(type(kind), 1) for name, kind in columns(table).items()}
    return conform(pl.DataFrame([{**row, **key}] * 20), table)


def write(layout: Layout, size: Size) -> Iterator[int]:
    """Write the parts; yields after each partition how many there are."""
    keys, times, texts = pairs(size), times_made(size), Texts(size)
    sets = [texts.frame(key, "") for key in keys[:_SETS]]
    others = [
        name
        for name in table_statements()
        if name not in _BULK and {"model", "trait"} <= set(columns(name))
    ]
    for stage in STAGES.values():
        if stage.dimensions != ("model", "trait"):
            for key in partitions_of(stage, keys):
                _keep(layout, TABLE, {"asset_key": stage.name, **key}, stage, keys, times)
    for done, key in enumerate(keys, 1):
        for stage in STAGES.values():
            if stage.dimensions == ("model", "trait"):
                _keep(layout, TABLE, {"asset_key": stage.name, **key}, stage, keys, times)
        for table in others:
            path = layout.part(table, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _small(table, key).write_parquet(path)
        path = layout.part("generations", key)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            own = {**key, "run_id": version(key)[:32]}
            said = sets[done % len(sets)].with_columns(pl.lit(v).alias(k) for k, v in own.items())
            said.write_parquet(path, compression="lz4")
        yield done


def _keep(
    layout: Layout, table: str, part: PartitionKey, stage: Stage, keys: list[PartitionKey], n: int
) -> None:
    path = layout.part(table, part)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        key = {name: value for name, value in part.items() if name != "asset_key"}
        lineage(stage, key, keys, n).write_parquet(path)


def load(layout: Layout) -> None:
    """Load all parts at once, table by table: what `sync` does to each, without its checks."""
    with warehouse.connect(layout.database, read_only=False) as connection:
        prepare(connection)
        connection.execute("SET preserve_insertion_order = true")
        for table in table_statements():
            if any((layout.root / "tables" / table).rglob("part.parquet")):
                parts = str(layout.root / "tables" / table / "**" / "part.parquet")
                connection.execute(
                    f"INSERT INTO {table} BY NAME "
                    f"SELECT * FROM read_parquet('{parts}', hive_partitioning = false)"
                )
        named = ", ".join(f"l.{name}" for name in columns("current_lineage"))
        connection.execute(
            f"INSERT INTO current_lineage SELECT DISTINCT {named} FROM artifact_lineage l JOIN ("
            "SELECT asset_key, partition, max(created_at) AS created_at FROM artifact_lineage "
            "GROUP BY ALL) USING (asset_key, partition, created_at)"
        )
        known = pl.DataFrame(
            list(syncing.signatures(layout).items()),
            schema=["path", "signature"],
            orient="row",
        )
        connection.register("known", known.to_arrow())
        connection.execute("INSERT INTO _parts SELECT * FROM known")
