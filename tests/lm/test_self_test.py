"""Each error of the self-test, on a model built to cause it, added in the way users add models."""

from __future__ import annotations

from types import MethodType

import pytest
import torch

from steer_assets.lm import errors
from steer_assets.lm.layout import residual, with_residual
from steer_assets.lm.loading import loader
from steer_assets.lm.loading.loader import Source, snapshot
from steer_assets.lm.model import LanguageModel
from steer_assets.lm.self_test.self_test import measure, require_sound

from .conftest import WINDOW, build, cached_build


def _changed(lm: LanguageModel, layer: int, change) -> LanguageModel:
    """A block whose output is ``change(output, input)`` of its own, before any hook sees it."""
    block = lm.layout.blocks[layer]
    own = block.forward

    def forward(hidden, *args, **kwargs):
        output = own(hidden, *args, **kwargs)
        return with_residual(output, change(residual(output), hidden))

    block.forward = forward
    return lm


def test_a_sound_model_has_errors_of_rounding_alone(tiny):
    *found, n_tokens = measure(tiny, "tiny")
    assert max(found) < 1e-5
    assert n_tokens > WINDOW


def test_later_tokens_that_change_earlier_positions_are_found():
    lm = _changed(build("qwen2"), 2, lambda out, _: out + 0.05 * out.mean(1, keepdim=True))
    with pytest.raises(errors.SelfTestError, match="later tokens change earlier positions"):
        measure(lm, "planted")


def test_rows_that_change_each_other_are_found():
    lm = _changed(build("qwen2"), 2, lambda out, _: out - 0.05 * out[:, :1].mean(0, keepdim=True))
    with pytest.raises(errors.SelfTestError, match="other values beside other texts"):
        measure(lm, "planted")


def test_states_that_differ_from_the_whole_text_are_found():
    """One token over a cache is given another value, past the length that chooses the way."""
    lm = build("qwen2")
    block = lm.layout.blocks[2]
    own = block.forward

    def forward(hidden, *args, position_ids, **kwargs):
        output = own(hidden, *args, position_ids=position_ids, **kwargs)
        return output * (1 + 0.05 * (hidden.shape[1] == 1 and int(position_ids.max()) > 12))

    block.forward = forward
    with pytest.raises(errors.SelfTestError, match="over cached states than over the whole text"):
        measure(lm, "planted")


def test_a_block_that_hides_its_output_from_hooks_is_found():
    """The next block goes on from what the block kept to itself, not from what a hook returned."""
    lm = build("qwen2")
    kept = {}
    _changed(lm, 2, lambda out, _: _keep(kept, out))
    block = lm.layout.blocks[3]
    own = block.forward
    block.forward = MethodType(lambda _, __, *a, **k: own(kept["out"], *a, **k), block)
    with pytest.raises(errors.SelfTestError, match="cannot be steered"):
        measure(lm, "planted")


def _keep(kept, out):
    kept["out"] = out
    return out


def _large(folder, factor):
    """A model whose residual stream reaches ``factor``: embeddings scaled, the norms undo it."""
    lm = build("llama")
    with torch.no_grad():
        lm.model.get_input_embeddings().weight *= factor
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder


def test_a_model_that_overflows_half_precision_is_taken_for_the_other_types(tmp_path):
    found = snapshot(Source("folder", str(_large(tmp_path / "origin", 1e6))), tmp_path / "copy")
    assert found.self_test.finite_dtypes == "float32,bfloat16"
    assert found.self_test.prefix < 1e-3


def test_a_model_without_finite_values_is_refused(tmp_path):
    lm = build("qwen2")
    with torch.no_grad():
        lm.model.get_output_embeddings().weight[3] = float("nan")
    lm.model.save_pretrained(tmp_path / "origin")
    lm.tokenizer.save_pretrained(tmp_path / "origin")
    with pytest.raises(errors.SelfTestError, match="not finite in float32"):
        snapshot(Source("folder", str(tmp_path / "origin")), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_what_a_forward_fails_with_is_one_sentence():
    def broken(dtype):
        lm = build("qwen2")
        return _changed(lm, 1, lambda *_: {}["conv_states"])

    with pytest.raises(errors.SelfTestError, match=r"KeyError: 'conv_states'\); take a") as caught:
        require_sound(broken, "planted")
    assert "\n" not in str(caught.value)


def test_the_snapshot_refuses_what_fails(tmp_path, monkeypatch):
    lm = cached_build("qwen2")
    lm.model.save_pretrained(tmp_path / "origin")
    lm.tokenizer.save_pretrained(tmp_path / "origin")
    opened = loader._opened
    monkeypatch.setattr(
        loader,
        "_opened",
        lambda *a: _changed(opened(*a), 2, lambda out, _: out - out.mean(0, keepdim=True)),
    )
    with pytest.raises(errors.SelfTestError, match="beside other texts"):
        snapshot(Source("folder", str(tmp_path / "origin")), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
