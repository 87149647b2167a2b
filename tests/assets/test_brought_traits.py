"""Trait files of published layouts through the stages: stored rows and rendered prompts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import transformers as tf

from steer_assets.assets.geometry.activation_caches import pair_activations, read_activations
from steer_assets.catalog.prompts import checksum
from steer_assets.lm.model import LanguageModel
from steer_assets.paths import REPOSITORY
from steer_assets.pipeline.design.prompt_selection import encoded
from steer_assets.storage.files.parquet import write_part
from tests.assets.conftest import LAYER, MODEL, Tiny, tiny_study
from tests.catalog import field
from tests.lm.test_prompts import PLAIN
from tests.tiny import SCORER, STUDY, World, make_world, write_model, write_scorer

TRAIT = "sentiment"  # what the stages of `Tiny` run on
DATA = {name: text for name, text in field.LAYOUTS.items() if name != "table.csv"}


class _Models:
    def __init__(self, folder: Path) -> None:
        model = tf.AutoModelForCausalLM.from_pretrained(folder)
        self.lm = LanguageModel(model, tf.AutoTokenizer.from_pretrained(folder))
        self.lm.tokenizer.chat_template = PLAIN

    def load(self, *_args: object, **_options: object) -> LanguageModel:
        return self.lm


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> _Models:
    return _Models(write_model(tmp_path_factory.mktemp("model") / "model"))


@pytest.fixture(params=DATA)
def brought(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    models: _Models,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[str, Tiny]:
    """Prompts and activations of one file, whose trait replaces a catalogued one."""
    from steer_assets.catalog import catalog, trait_files
    from steer_assets.catalog.layouts import writing
    from steer_assets.storage.layout import Layout

    name = str(request.param)
    path = tmp_path / name
    path.write_text(DATA[name])
    trait = trait_files.read(path, path.stem)
    trait = writing.raw(trait) if name.startswith("templated") else trait
    monkeypatch.setattr(catalog, "trait", lambda _: trait)
    world = Tiny(Layout(tmp_path / "data"), tiny_study(), models)  # type: ignore[arg-type]
    lm = models.lm
    facts = {
        "model": MODEL, "source": "test", "revision": "", "sha256": "0", "tokenizer_sha256": "0",
        "architecture": "LlamaForCausalLM", "n_layers": lm.n_layers, "hidden_size": lm.hidden_size,
        "vocab_size": lm.vocab_size, "n_parameters": 1, "dtype": "float32", "path": "",
        "run_id": "", "code_version": "",
    }  # fmt: skip
    write_part(world.layout.part("models", {"model": MODEL}), pl.DataFrame([facts]))
    for stage in ("prompt_sets", "activation_caches"):
        world.make(stage)
    return name, world


def _shown(lm: LanguageModel, prompts: pl.DataFrame) -> list[str]:
    return [str(lm.tokenizer.decode(ids)) for ids in encoded(lm, prompts)]


def test_what_is_stored_is_what_the_model_is_shown_and_read_at(brought, models):
    name, world = brought
    lm, prompts = models.lm, world.rows("prompt_sets")
    shown = _shown(lm, prompts)
    for row, text in zip(prompts.iter_rows(named=True), shown, strict=True):
        turns = json.loads(row["turns"] or "[]")
        assert row["sha256"] == checksum(row["text"], row["turns"], row["raw"])
        for turn in turns:
            assert turn["content"].strip() in text
            assert turn["content"] in row["text"]
        if row["raw"]:
            assert text == row["text"]
        elif turns and turns[-1]["role"] == "assistant":
            assert text.endswith(f"<assistant>{turns[-1]['content'].strip()}")
        elif not turns:
            assert text == f"<user>{row['text']}</user><assistant>"
    contrast = prompts.filter(pl.col("role") == "contrast")
    expected = {"persona_vectors.json": "system", "templated.jsonl": None}.get(name, "assistant")
    roles = [[t["role"] for t in json.loads(turns or "[]")] for turns in contrast["turns"]]
    assert all(expected in own for own in roles) if expected else contrast["raw"].all()
    tests = prompts.filter(pl.col("role") == "test")
    assert set(tests["turns"]) == {""}


def test_v_is_the_difference_at_the_last_token_of_the_answers(brought, models):
    """Recomputed by transformers from the turns alone."""
    name, world = brought
    lm = models.lm
    cached, activations = read_activations(world.run("activation_caches"), LAYER)
    positive, negative = pair_activations(cached, activations, "contrast")
    contrast = world.rows("prompt_sets").filter(pl.col("role") == "contrast")
    used = contrast.filter(pl.col("prompt_id").is_in(cached["prompt_id"].to_list()))
    states, last = [], []
    for ids in encoded(lm, used):
        with torch.inference_mode():
            hidden = lm.model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        states.append(hidden[LAYER + 1][0, -1].double().numpy())
        last.append(lm.tokenizer.decode([ids[-1]]))
    own = np.stack(states)
    np.testing.assert_allclose(positive, own[::2], atol=1e-5)
    np.testing.assert_allclose(negative, own[1::2], atol=1e-5)
    letters = {"caa.json": "AB", "mwe.jsonl": "ABC", "persona.jsonl": "so"}
    if name in letters:
        assert set(last) == set(letters[name])
        assert all(a != b for a, b in zip(last[::2], last[1::2], strict=True))


def _steer(world: World, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "steer_assets.cli", *map(str, arguments)],
        env={**os.environ, **world.environment},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.faults
@pytest.mark.parametrize("name", field.LAYOUTS)
def test_a_file_of_the_field_goes_from_import_to_a_report(tmp_path, name):
    """Three commands, as a user types them."""
    root = tmp_path
    source, scorer = write_model(root / "source"), write_scorer(root / "scorer")
    world = make_world(root / "world", source=source, scorer=scorer)
    key = Path(name).stem
    catalog = world.layout.root / "catalog"
    labelled = (catalog / "labelled" / "formality.jsonl").read_bytes()
    (catalog / "labelled" / f"{key}.jsonl").write_bytes(labelled)
    entry = catalog / "scorers" / f"{SCORER}.yaml"
    entry.write_text(entry.read_text().replace('"formality"', f'"{key}"'))
    file = root / name
    file.write_text(field.many(name))
    assert "contrast pairs" in _steer(world, "traits", "check", file)
    _steer(world, "traits", "import", file, *(["--raw"] if key == "templated" else []))
    _steer(world, "run", "--model", MODEL, "--trait", key, "--study", STUDY)
    assert world.layout.pair_file("reports", MODEL, key, ".html").exists()
