"""Exported vectors in the tools that they are for: the packages themselves, on a tiny llama.

Each tool must give the probabilities that our own edit gives, and with the vectors one block off it
must not. The calls are those of `USE.md`, taken from the file.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from steer_assets.lm.decoding.sampling import Sampling
from steer_assets.lm.forward.intervene import Addition
from steer_assets.lm.loading.loader import load
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods
from steer_assets.pipeline import external_vectors
from steer_assets.storage.files.tensors import write_vectors
from steer_assets.storage.layout import Layout
from tests.commands.llama_cpp import LlamaCpp, write_gguf
from tests.commands.test_vectors import MODEL, TRAIT, _part, _run
from tests.lm.reference import forward
from tests.tiny import write_model

WIDTH, BLOCKS, STRENGTH = 32, (1, 2), 0.5
TOKENS = [1, 60, 70, 75, 33, 90, 41, 87]
AS_IT_IS = Sampling(1, temperature=1.0)
RNG = np.random.default_rng(4)
STORED = {f"L{block}.base": RNG.normal(size=WIDTH) for block in BLOCKS}
LIBRARIES = os.environ.get("STEER_LLAMA_CPP", "")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tools") / "model")


@pytest.fixture
def layout(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    layout = Layout((tmp_path / "data").resolve())
    model = {"model": MODEL, "n_layers": 4, "hidden_size": WIDTH, "sha256": "ab"}
    _part(layout, "models", {"model": MODEL}, [model])
    key = {"model": MODEL, "trait": TRAIT}
    ids = [*STORED, "L0.base", "L1.random.s0"]
    rows = [{**key, "vector_id": one, "layer": int(one[1])} for one in ids]
    _part(layout, "steering_vectors", key, rows)
    path = layout.pair_file("vectors", MODEL, TRAIT, ".safetensors")
    path.parent.mkdir(parents=True)
    write_vectors(path, STORED | {one: RNG.normal(size=WIDTH) for one in ids[-2:]}, {})
    layout.model(MODEL).parent.mkdir(parents=True, exist_ok=True)
    layout.model(MODEL).symlink_to(weights)
    return layout


def _export(*options: object) -> None:
    ids = (f"--vector=L{block}.base" for block in BLOCKS)
    _run("export", "out", *ids, *options)


def _snippets() -> list[str]:
    """Python of `USE.md`, which is in the folder of its files."""
    return re.findall(r"```python\n(.*?)```", Path("out/USE.md").read_text(), flags=re.DOTALL)


def _shown(package: str, monkeypatch: pytest.MonkeyPatch, **known: Any) -> dict[str, Any]:
    (code,) = (one for one in _snippets() if package in one)
    monkeypatch.chdir("out")
    exec(code, known)
    return known


def _ours(lm: LanguageModel, n_prompt: int, shift: int = 0) -> np.ndarray:
    """Log-probabilities of the text after the prompt under our edit, `shift` blocks off."""
    arm = tuple(Addition(block + shift, i, STRENGTH) for i, block in enumerate(BLOCKS))
    text = SampledText(0, 0, tuple(TOKENS[n_prompt:]))
    vectors = np.stack(list(STORED.values()))
    found = text_likelihoods(lm, [TOKENS[:n_prompt]], [text], [arm], vectors, AS_IT_IS)
    return found[0][0].log_p


def _of_text(logits: torch.Tensor, n_prompt: int) -> np.ndarray:
    """Log-probabilities [t] of the text from logits [tokens, v] after each token."""
    rows = torch.log_softmax(logits.double(), dim=-1)[n_prompt - 1 : -1]
    return np.array([row[token] for row, token in zip(rows, TOKENS[n_prompt:], strict=True)])


def _agrees(found: np.ndarray, lm: LanguageModel, n_prompt: int, tolerance: float) -> None:
    assert np.abs(found - _ours(lm, n_prompt)).max() < tolerance
    for shift in (-1, 1):
        assert np.abs(found - _ours(lm, n_prompt, shift)).max() > 20 * tolerance


@pytest.mark.parametrize("fold", [(), ("--fold",)], ids=["stated", "folded"])
def test_steering_vectors_gives_the_probabilities_of_our_edit(
    layout: Layout, weights: Path, monkeypatch: pytest.MonkeyPatch, fold: tuple[str, ...]
) -> None:
    pytest.importorskip("steering_vectors", reason="`make setup` installs it")
    _export("--strength", STRENGTH, *fold)
    lm = load(weights)
    n_prompt = 4
    ids = torch.tensor([TOKENS])
    prompt = {"input_ids": ids[:, :n_prompt], "attention_mask": torch.ones(1, n_prompt)}
    shown = _shown(
        "steering_vectors", monkeypatch, model=lm.model, prompt=prompt, n_prompt=n_prompt
    )
    multiplier = 1.0 if fold else STRENGTH
    steered = shown["vector"].apply(lm.model, multiplier=multiplier, min_token_index=n_prompt - 1)
    with steered, torch.no_grad():
        logits = lm.model(ids).logits[0]
    _agrees(_of_text(logits, n_prompt), lm, n_prompt, 1e-4)


def test_a_text_as_shown_is_steered_at_every_generated_token(
    layout: Layout, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("steering_vectors", reason="`make setup` installs it")
    _export("--strength", STRENGTH)
    lm, n_prompt = load(weights), 4
    monkeypatch.setattr(lm.model.generation_config, "do_sample", False)
    prompt = {"input_ids": torch.tensor([TOKENS[:n_prompt]])}
    prompt["attention_mask"] = torch.ones_like(prompt["input_ids"])
    shown = _shown(
        "steering_vectors", monkeypatch, model=lm.model, prompt=prompt, n_prompt=n_prompt
    )
    text = shown["text"][0].tolist()
    arm = tuple(Addition(block, i, STRENGTH) for i, block in enumerate(BLOCKS))
    for steered, same in ((arm, True), ((), False)):
        logits, _ = forward(lm, text, steered, np.stack(list(STORED.values())), n_prompt - 1)
        assert (logits.argmax(-1)[n_prompt - 1 : -1].tolist() == text[n_prompt:]) is same


def test_repeng_gives_the_probabilities_of_our_edit(
    layout: Layout, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "float_", np.float64, raising=False)  # which NumPy 2 has no more
    repeng = pytest.importorskip("repeng", reason="`make setup` installs it")
    _export("--strength", STRENGTH)
    shown = _shown("repeng", monkeypatch, model=load(weights).model)
    assert shown["vector"].model_type == "llama"
    with torch.no_grad():
        logits = shown["steered"](torch.tensor([TOKENS])).logits[0]
    # It steers every token: as our edit does after a prompt of one token.
    _agrees(_of_text(logits, 1), load(weights), 1, 1e-4)
    assert isinstance(shown["vector"], repeng.ControlVector)


@pytest.mark.skipif(not LIBRARIES, reason="`make tools` installs llama.cpp")
def test_llama_cpp_gives_the_probabilities_of_our_edit(
    layout: Layout, weights: Path, tmp_path: Path
) -> None:
    _export("--strength", STRENGTH)
    lm = load(weights)
    write_gguf(tmp_path / "model.gguf", lm.model)
    tool = LlamaCpp(Path(LIBRARIES), tmp_path / "model.gguf")
    file = Path("out/base.gguf").resolve()
    rows = [tool.logits(TOKENS[: n + 1], file, STRENGTH) for n in range(len(TOKENS))]
    # Its memory of earlier tokens is float16.
    _agrees(_of_text(torch.from_numpy(np.stack(rows)), 1), lm, 1, 5e-3)
    width, read = tool.read(file, 1.0)
    assert width == WIDTH
    for block in BLOCKS:
        assert np.array_equal(read[block - 1], STORED[f"L{block}.base"].astype(np.float32))


def test_easysteer_is_asked_for_the_tokens_that_verdicts_are_of(layout: Layout) -> None:
    _export("--strength", STRENGTH)
    shown = re.search(r"```json\n(.*?)```", Path("out/USE.md").read_text(), flags=re.DOTALL)
    assert shown
    (vector,) = json.loads(shown[1])["steering"]["vectors"]
    assert vector["apply"] == {"prompt_positions": [-1], "generation": "all"}
    assert (vector["scale"], vector["algorithm"]) == (STRENGTH, "direct")
    # It reads every tensor called direction.N as the vector of block N, counted from 0.
    tensors = gguf.GGUFReader(Path("out") / vector["source"]).tensors
    assert {one.name for one in tensors} == {f"direction.{block}" for block in BLOCKS}


def test_one_call_exports_a_vector_at_all_its_blocks_and_others_beside_it(layout: Layout) -> None:
    said = _run("export", "out", "--vector=base", "--vector=L1.random.s0")
    assert {path.name for path in Path("out").iterdir()} == {
        *("base.gguf", "base.safetensors", "random.s0.gguf", "random.s0.safetensors", "USE.md")
    }
    assert set(load_file("out/base.safetensors")) == {"layer_0", "layer_1", "layer_2"}
    assert "block 0 is in the safetensors alone" in said
    assert {t.name for t in gguf.GGUFReader("out/base.gguf").tensors} == {
        *("direction.1", "direction.2")
    }


@pytest.mark.parametrize("suffix", ["gguf", "safetensors"])
def test_every_file_comes_back_by_import_with_its_strength_told(
    layout: Layout, suffix: str
) -> None:
    _export("--strength", STRENGTH)
    said = _run("import", f"out/base.{suffix}", "--name=back")
    assert f"states strength {STRENGTH}, which is not applied; `--scale {STRENGTH}` does" in said
    for block in BLOCKS:
        found = external_vectors.read(layout, MODEL, TRAIT, block)["back"].values
        kind = np.float32 if suffix == "gguf" else np.float64
        assert np.array_equal(found, STORED[f"L{block}.base"].astype(kind))


@pytest.mark.parametrize("suffix", ["gguf", "safetensors"])
def test_a_folded_strength_is_in_the_values_alone(layout: Layout, suffix: str) -> None:
    _export("--strength", STRENGTH, "--fold")
    said = _run("import", f"out/base.{suffix}", "--name=back")
    assert "states strength" not in said
    found = external_vectors.read(layout, MODEL, TRAIT, 1)["back"].values
    np.testing.assert_allclose(found, STRENGTH * STORED["L1.base"], rtol=1e-6)
    assert "--control-vector base.gguf" in Path("out/USE.md").read_text()


def test_the_pt_file_that_is_shown_has_a_row_for_every_block(
    layout: Layout, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _export()
    _shown("torch.save", monkeypatch, model=load(weights).model)
    table = torch.load("base.pt", weights_only=True)
    assert table.shape == (4, WIDTH)
    np.testing.assert_allclose(table[2], STORED["L2.base"], rtol=1e-6)
    assert not table[3].any()
