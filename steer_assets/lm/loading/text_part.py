"""The text model inside a multimodal wrapper, as a separate causal language model.

A wrapper is loaded completely, so that its loading report covers every tensor; its text backbone
and unembedding are then moved into transformers' causal class of the text config. Both must give
the same logits for a text.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForMultimodalLM
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MULTIMODAL_LM_MAPPING,
)

from steer_assets.lm.errors import SourceError
from steer_assets.lm.loading_report import first_line

_TOLERANCE = 1e-3


def auto_class(config: Any, name: str) -> Any:
    """The auto class that reads a model of ``config``: causal, or multimodal for a wrapper.

    Raises SourceError for an encoder-decoder, and if transformers has no class for text generation.
    """
    if getattr(config, "is_encoder_decoder", False):
        raise SourceError(
            f"{name} is an encoder-decoder ({config.model_type}); take a decoder-only model"
        )
    if is_wrapper(config) and type(config) in MODEL_FOR_MULTIMODAL_LM_MAPPING:
        if type(config.get_text_config()) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise SourceError(
                f"{name} wraps a text model ({config.get_text_config().model_type}) that "
                "transformers cannot run by itself; take a text-only model of the same family"
            )
        return AutoModelForMultimodalLM
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise SourceError(
            f"{name} is no causal language model (its model type is {config.model_type}); take a "
            "decoder-only model"
        )
    return AutoModelForCausalLM


def is_wrapper(config: Any) -> bool:
    """Whether the weights are those of a wrapper around a text model."""
    text = config.get_text_config()
    if text is config:
        return False
    causal = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    own = causal is not None and getattr(causal, "config_class", None) is type(text)
    return not (own and (config.architectures or [""])[0] == causal.__name__)


def text_part(wrapper: nn.Module, name: str) -> Any:
    """The causal language model within ``wrapper``, on the same weights.

    Raises SourceError if it is not found, or gives other logits than the wrapper.
    """
    config: Any = wrapper.config.get_text_config()  # type: ignore[operator, union-attr]
    kind = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    inside = [module for module in wrapper.modules() if type(module) is kind]
    model = inside[0] if len(inside) == 1 else _assembled(wrapper, config, kind, name)
    model.generation_config = getattr(wrapper, "generation_config", None)
    _check_same(wrapper, model, name)
    return model


def _assembled(wrapper: Any, config: Any, kind: Any, name: str) -> Any:
    with torch.device("meta"):
        model = kind(config)
    prefix = model.base_model_prefix
    backbone_type = type(getattr(model, prefix))
    backbones = [module for module in wrapper.modules() if type(module) is backbone_type]
    head = wrapper.get_output_embeddings()
    if len(backbones) != 1 or head is None:
        raise SourceError(
            f"{name} has {len(backbones)} text backbones ({backbone_type.__name__}) where one with "
            "an unembedding was expected; take a text-only model of the same family"
        )
    setattr(model, prefix, backbones[0])
    model.set_output_embeddings(head)
    model.config = backbones[0].config
    model.config.tie_word_embeddings = head.weight is model.get_input_embeddings().weight
    lost = [path for path, tensor in model.named_parameters() if tensor.is_meta]
    if lost:
        raise SourceError(
            f"the text part of {name} lacks {len(lost)} tensors ({', '.join(sorted(lost)[:3])}); "
            "take a text-only model of the same family"
        )
    return model


@torch.inference_mode()
def _check_same(wrapper: nn.Module, model: nn.Module, name: str) -> None:
    """Raise unless both give the same logits for a text, up to rounding."""
    first, config = next(model.parameters()), cast("Any", model.config)
    size = min(config.vocab_size, 1000)
    ids = torch.tensor([[(7 * i + 3) % size for i in range(8)]], device=first.device)
    try:
        whole, part = (
            module.eval()(input_ids=ids, use_cache=False).logits.float()
            for module in (wrapper, model)
        )
    except Exception as error:
        raise SourceError(
            f"{name} cannot be run on text alone ({first_line(error)}); take a text-only model of "
            "the same family"
        ) from error
    tolerance = _TOLERANCE if first.itemsize >= 4 else 0.05
    if not (whole - part).abs().max() <= tolerance * whole.abs().max():
        raise SourceError(
            f"the text part of {name} gives other logits than the whole; take a text-only model of "
            "the same family"
        )
