"""Reads a causal language model and its tokenizer from a folder or a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, __version__

from steer_assets.lm.errors import LanguageModelError, QuantisedWeightsError, SourceError
from steer_assets.lm.loading.gguf_files import parsed_once, require_all_used
from steer_assets.lm.loading.quantised import as_plain
from steer_assets.lm.loading.text_part import auto_class, is_wrapper, text_part
from steer_assets.lm.loading_report import first_line, require_plain, require_whole
from steer_assets.lm.tokenizers import read_tokenizer


def read(path: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a checked folder or GGUF file, in the stored number type.

    Returns the text part of a multimodal wrapper. Raises SourceError, WeightsError or
    TokenizerError.
    """
    if path.is_dir():
        return pretrained(path, dtype="auto"), read_tokenizer(path)
    with parsed_once():
        return _read_gguf(path)


def _read_gguf(path: Path) -> tuple[Any, Any]:
    model = pretrained(path.parent, dtype=torch.float32, gguf_file=path.name)
    require_all_used(path, model)
    # The weights are dequantised; with a quantiser attached the model would refuse to be saved or
    # loaded.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model, read_tokenizer(path.parent, gguf_file=path.name)


def pretrained(folder: Path, **kwargs: Any) -> Any:
    """The model in ``folder``; raises WeightsError if a tensor is unused or missing.

    Weights that are stored quantised are turned into plain ones (`quantised`).
    """
    name = str(folder / kwargs["gguf_file"]) if "gguf_file" in kwargs else str(folder)
    config = _config(folder, kwargs.get("gguf_file"), name)
    auto = auto_class(config, name)
    plain = as_plain(config)
    kwargs |= plain
    try:
        model, report = _loaded(auto, folder, **kwargs)
    except LanguageModelError:
        raise
    except Exception as error:  # transformers and safetensors raise arbitrary exceptions
        if "size mismatch" in str(error) or "ignore_mismatched_sizes" in str(error):
            _, report = _loaded(auto, folder, ignore_mismatched_sizes=True, **kwargs)
            require_whole(name, report)  # only to name the tensors; this model is discarded
        if plain:
            raise QuantisedWeightsError(
                f"{name} holds quantised weights that cannot be turned into plain ones, because "
                "some of their scales or blocks are missing or of another shape; take the plain "
                "weights of the same model"
            ) from error
        raise SourceError(
            f"{name} cannot be read as a causal language model: {first_line(error)}"
        ) from error
    require_whole(name, report)
    require_plain(name, model)
    if plain:
        # Saving reverts the conversions of loading, and would quantise the weights again.
        model._weight_conversions = None
    if is_wrapper(config):
        model = text_part(model, name)
    if hasattr(model.config, "auto_map"):
        del model.config.auto_map  # names code that is not needed and not copied
    return model


def _loaded(auto: Any, folder: Path, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
    model, report = auto.from_pretrained(
        folder,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
        **kwargs,
    )
    return model, report


def _config(folder: Path, gguf_file: str | None, name: str) -> Any:
    named = {} if gguf_file is None else {"gguf_file": gguf_file}
    try:
        return AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **named
        )
    except LanguageModelError:
        raise
    except Exception as error:
        raise SourceError(
            f"{name} has a config that transformers {__version__} cannot read: {first_line(error)}"
        ) from error
