"""Reads the tokenizer of a model folder or GGUF file; errors name the missing file or package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from steer_assets.lm.errors import TokenizerError
from steer_assets.lm.loading_report import first_line


def read_tokenizer(folder: Path, **kwargs: Any) -> Any:
    """The tokenizer in ``folder``; raises TokenizerError if it cannot be read."""
    if "gguf_file" not in kwargs:
        _check_packages(folder)
    try:
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **kwargs
        )
    except Exception as error:  # tokenizer classes raise arbitrary exceptions
        raise TokenizerError(
            f"{folder} holds no tokenizer that can be read "
            f"({first_line(error).rstrip(' :')}); put its tokenizer.json beside the weights"
        ) from error


def _check_packages(folder: Path) -> None:
    """Without tokenizer.json, a vocabulary needs the package that wrote it."""
    if (folder / "tokenizer.json").is_file():
        return
    for pattern, package in (("*.tiktoken", "tiktoken"), ("*.model", "sentencepiece")):
        found = next(iter(sorted(folder.glob(pattern))), None)
        if found is not None and importlib.util.find_spec(package) is None:
            raise TokenizerError(
                f"{folder} has its tokenizer in {found.name}, which the package {package} reads; "
                f"install it (pip install {package}) or add a tokenizer.json"
            )


def appended(tokenizer: Any) -> int:
    """Number of tokens that the tokenizer adds after a text, such as an end of text."""
    text = "a"
    whole = list(tokenizer(text)["input_ids"])
    bare = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    for n in range(len(whole) - len(bare) + 1):
        if whole[len(whole) - len(bare) - n : len(whole) - n] == bare:
            return n
    return 0
