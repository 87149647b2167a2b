"""Weights stored as 8-bit or 4-bit floats are read as what they stand for, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from torch import Tensor

from steer_assets.lm import errors
from steer_assets.lm.loading.loader import Source, load, snapshot

from .architectures import CONFIGS
from .conftest import word_tokenizer

Tensors = dict[str, Tensor]
_BLOCK = 16
#: Values of four bits: sign, two of exponent, one of mantissa.
_FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
_FP4 = torch.cat([_FP4, -_FP4])


def _in_blocks(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """8-bit floats [out, in], a scale for each block, and the numbers that they stand for."""
    rows, columns = weight.shape[0] // _BLOCK, weight.shape[1] // _BLOCK
    blocks = weight.reshape(rows, _BLOCK, columns, _BLOCK).transpose(1, 2)
    scales = blocks.abs().amax(dim=(2, 3)) / 448
    small = (blocks / scales[:, :, None, None]).to(torch.float8_e4m3fn)

    def whole(values: Tensor) -> Tensor:
        return values.transpose(1, 2).reshape(weight.shape).contiguous()

    return whole(small), scales, whole(small.float() * scales[:, :, None, None])


def _fp8(folder: Path) -> Tensors:
    """Quantise every projection; returns the numbers that are stored."""
    meant: Tensors = {}
    stored: Tensors = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        stored[name] = weight
        if "proj" in name:
            stored[name], stored[f"{name}_scale_inv"], meant[name] = _in_blocks(weight)
    _store(folder, stored, {"quant_method": "fp8", "weight_block_size": [_BLOCK, _BLOCK]})
    return meant


def _mxfp4(folder: Path) -> Tensors:
    """Quantise every expert; returns the numbers that are stored."""
    meant: Tensors = {}
    stored: Tensors = {}
    for name, weight in load_file(folder / "model.safetensors").items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            stored[name] = weight.to(torch.bfloat16)
            continue
        groups = weight.transpose(1, 2).unflatten(2, (-1, 32))
        exponents = torch.floor(torch.log2(groups.abs().amax(-1) / 6)) + 1
        size = torch.exp2(exponents)[..., None]
        codes = ((groups / size)[..., None] - _FP4).abs().argmin(-1)
        small = codes.to(torch.uint8)
        stored[f"{name}_blocks"] = (small[..., 0::2] | (small[..., 1::2] << 4)).contiguous()
        stored[f"{name}_scales"] = (exponents + 127).to(torch.uint8)
        meant[name] = (_FP4[codes] * size).flatten(2).transpose(1, 2)
    _store(folder, stored, {"quant_method": "mxfp4"})
    return meant


def _store(folder: Path, tensors: Tensors, how: dict[str, object]) -> None:
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": how}))


def _made(folder: Path, name: str) -> Tensors:
    kind, settings = CONFIGS[name]
    tf.set_seed(3)
    config = getattr(tf, kind)(**{**settings, "intermediate_size": 64})  # whole groups of 32
    tf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return _fp8(folder) if name == "olmo2" else _mxfp4(folder)


@pytest.mark.parametrize("name", ["olmo2", "gpt_oss"])
def test_the_snapshot_holds_the_numbers_that_are_stored(tmp_path: Path, name: str) -> None:
    meant = _made(tmp_path / "origin", name)
    snapshot(Source("folder", str(tmp_path / "origin")), tmp_path / "copy")
    assert "quantization_config" not in json.loads((tmp_path / "copy" / "config.json").read_text())
    weights = load(tmp_path / "copy", device="cpu").model.state_dict()
    assert meant
    for tensor, values in meant.items():
        torch.testing.assert_close(weights[tensor], values, atol=0, rtol=2**-8)


@pytest.mark.parametrize(
    ("name", "change", "error"),
    [
        ("olmo2", lambda t: t.pop("model.layers.0.mlp.up_proj.weight_scale_inv"), "WeightsError"),
        ("olmo2", lambda t: t.pop("model.layers.0.mlp.up_proj.weight"), "WeightsError"),
        (
            "gpt_oss",
            lambda t: t.pop("model.layers.0.mlp.experts.down_proj_scales"),
            "QuantisedWeightsError",
        ),
    ],
    ids=["no scale", "no weight", "no scales of experts"],
)
def test_what_lacks_a_part_is_refused(
    tmp_path: Path, name: str, change: Callable[[Tensors], object], error: str
) -> None:
    _made(tmp_path / "origin", name)
    file = tmp_path / "origin" / "model.safetensors"
    change(tensors := load_file(file))
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(getattr(errors, error)) as refused:
        snapshot(Source("folder", str(tmp_path / "origin")), tmp_path / "copy")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "copy").exists()
