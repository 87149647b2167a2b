"""A random llama of 32 dimensions, and a study that runs the whole graph on it in seconds.

Its tokenizer encodes bytes, so that every prompt of the catalog has different tokens.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from steer_assets.catalog.protocols import SWITCHES
from steer_assets.paths import CATALOG, REPOSITORY
from steer_assets.storage.layout import Layout
from tests.databases import empty_databases

MODEL = "tiny"
STUDY = "tiny"
SCORER = "tiny-judge"
#: Few prompts, few tokens, every protocol: numbers that mean nothing, of every kind.
STUDY_TEXT = f"""\
study: {STUDY}
title: Every stage on a random model
seed: 11
layers: {{steer: [1], geometry: [1, 2]}}
prompts:
  contrast_pairs: 6
  test: {{in_distribution: 4, topic_shift: 1, genre_shift: 1, safety_style: 1}}
spectra:
  heldout_splits: 2
  resamples: 4
  estimator: {{covariance: variance_95, jacobian: variance_95, fisher: variance_95}}
behaviour: {{prompts: 3}}
vectors:
  families:
    - base
    - orthogonal
    - base_plus_orthogonal
    - base_plus_orthogonal_matched
    - base_plus_null
    - random
    - negated
  subspace_directions: 4
logits: {{prompts: 2, alphas: [1.0]}}
dose: {{prompts: 2, relative_steps: [0.05, 0.2], multiples: [1.0], tolerances: [0.01, 0.1]}}
generation:
  samples: 1
  max_new_tokens: 5
  arms:
    - families: [base, orthogonal, base_plus_orthogonal]
protocols:
  - name: controlled
  - name: reference
    switches: [{", ".join(SWITCHES)}]
protocol_texts:
  layers: [1]
  prompts: {{in_distribution: 2, topic_shift: 1, genre_shift: 0, safety_style: 0}}
  probes: 8
scoring: {{scorers: [{SCORER}]}}
statistics: {{n_boot: 200}}
"""


def tokenizer() -> Any:
    import transformers as tf
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    special = ["<pad>", "<bos>", "<eos>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: i for i, word in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    )


def write_model(folder: Path, *, seed: int = 3) -> Path:
    """A whole model folder: config, safetensors, tokenizer. Written aside, then renamed."""
    import transformers as tf

    tf.set_seed(seed)
    config = tf.LlamaConfig(
        vocab_size=259,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=1024,
        initializer_range=0.25,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=True,
    )
    work = folder.parent / f".{folder.name}.making"
    work.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(work, ignore_errors=True)
    tf.AutoModelForCausalLM.from_config(config).save_pretrained(work)
    tokenizer().save_pretrained(work)
    work.rename(folder)
    return folder


def write_scorer(folder: Path) -> Path:
    """A random classifier of two labels: no encoder is loaded, no head fitted."""
    import transformers as tf

    tf.set_seed(5)
    config = tf.BertConfig(
        vocab_size=259,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=512,
        initializer_range=0.5,
        pad_token_id=0,
        id2label={0: "against", 1: "for"},
        label2id={"against": 0, "for": 1},
    )
    tf.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def _scorer_entry(weights: Path) -> str:
    traits = {p.stem: {"label_map": {"for": 1, "against": -1}} for p in _labelled()}
    entry = {"scorer": SCORER, "title": "random", "kind": "hf_classifier"}
    return json.dumps({**entry, "model_id": str(weights), "traits": traits})


def _labelled() -> list[Path]:
    return sorted((CATALOG / "labelled").glob("*.jsonl"))


@dataclass(frozen=True)
class World:
    """A data folder and a Dagster home, with the environment that names them."""

    root: Path

    @property
    def layout(self) -> Layout:
        return Layout(self.root / "data")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "STEER_DATA_DIR": str(self.root / "data"),
            "DAGSTER_HOME": str(self.root / "home"),
            "STEER_STUDY": STUDY,
            "HF_HUB_OFFLINE": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONPATH": str(REPOSITORY),
            "OMP_NUM_THREADS": "1",
        }


def _few_labelled(trait: str) -> str:
    """Labelled texts of three topics, so that a scorer is validated in a moment."""
    lines = (CATALOG / "labelled" / f"{trait}.jsonl").read_text().splitlines()
    by_group: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        record = json.loads(line)
        by_group.setdefault((record["topic"], record["label"]), []).append(line)
    topics = sorted({topic for topic, _ in by_group})[:3]
    chosen = [by_group[t, label][:3] for t in topics for label in ("positive", "negative")]
    return "".join(f"{line}\n" for group in chosen for line in group)


def make_world(root: Path, *, scorer: Path, source: Path | None = None) -> World:
    """A fresh world that knows the tiny study, and the tiny model where `source` is its folder."""
    world = World(root)
    empty = empty_databases()
    shutil.copytree(empty / "home", root / "home")
    tracking = world.layout.tracking_database
    tracking.parent.mkdir(parents=True)
    shutil.copy(Layout(empty).tracking_database, tracking)
    catalog = root / "data" / "catalog"
    (catalog / "studies").mkdir(parents=True)
    (catalog / "models").mkdir(parents=True)
    (catalog / "studies" / f"{STUDY}.yaml").write_text(STUDY_TEXT)
    (catalog / "scorers").mkdir()
    (catalog / "scorers" / f"{SCORER}.yaml").write_text(_scorer_entry(scorer))
    (catalog / "labelled").mkdir()
    for path in _labelled():
        (catalog / "labelled" / path.name).write_text(_few_labelled(path.stem))
    if source is not None:
        (catalog / "models" / "tiny.yaml").write_text(
            f"model: {MODEL}\ntitle: random\nsource: {{kind: folder, location: {source}}}\n"
        )
    return world


@contextmanager
def few_figures(*names: str) -> Iterator[None]:
    """Pages with these figures or a single one: drawing takes longer than a tiny study does."""
    from steer_assets.reporting.pages import report, sections

    wanted = names or ("null_fraction",)
    kept = [
        dataclasses.replace(section, charts=charts)
        for section in report.SECTIONS
        if (charts := tuple(chart for chart in section.charts if chart.__name__ in wanted))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "SECTIONS", kept)
        patch.setattr(sections, "SECTIONS", kept)
        yield


@contextmanager
def living_in(world: World) -> Iterator[World]:
    """The environment of `world`, set within the block."""
    before = {name: os.environ.get(name) for name in world.environment}
    os.environ.update(world.environment)
    try:
        yield world
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
