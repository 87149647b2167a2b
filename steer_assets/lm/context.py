"""Context length, tokenizer and chat template of a model, without its weights."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from steer_assets.lm.chat import Encoder
from steer_assets.lm.thinking import Thinking, declared
from steer_assets.lm.tokenizers import read_tokenizer


def positions(config: Any) -> int | None:
    """Number of positions that a configuration declares; None if it declares none."""
    declared = getattr(config.get_text_config(), "max_position_embeddings", None)
    return declared if isinstance(declared, int) and declared > 0 else None


def positions_of(folder: Path) -> int | None:
    """Number of positions that the model in ``folder`` declares; None if it declares none."""
    return positions(
        AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    )


def encoder_of(
    folder: Path, date: datetime.date, *, enable_thinking: bool | None = None
) -> Encoder:
    """Tokenizer in ``folder``, with what its template is given; raises TokenizerError."""
    return Encoder(read_tokenizer(folder), date, Thinking(enable_thinking, declared(folder)))
