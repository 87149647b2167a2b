"""Open language models of a process: one at a time, shared by all that ask for the same."""

from __future__ import annotations

import datetime
import gc
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steer_assets.lm.model import LanguageModel


@dataclass(frozen=True, slots=True)
class Opening:
    """How a model is opened.

    sha256: content hashes of weights and tokenizer; another content is another model, and the
    same content in another folder is the same. date and enable_thinking are given to the chat
    template. tensor_parallel: processes that hold the model, this one and others that it starts.
    """

    folder: Path = field(compare=False)
    sha256: tuple[str, str]
    date: datetime.date
    device: str
    dtype: str
    enable_thinking: bool | None = None
    tensor_parallel: int = 1

    def same_but_for_numbers(self, other: Opening) -> bool:
        """Whether only device and number type differ."""
        return replace(self, device=other.device, dtype=other.dtype) == other


_open: list[tuple[Opening, LanguageModel]] = []


def model_of(opening: Opening) -> LanguageModel:
    """The model, loaded when it is first asked for.

    One model is in memory at a time; a small one may be in memory in several number types.
    """
    from steer_assets.lm.decoding.memory import small
    from steer_assets.lm.loading import loader

    for known, model in _open:
        if known == opening and not _lost(model):
            return model
    _open[:] = [
        (known, kept)
        for known, kept in _open
        if known.same_but_for_numbers(opening) and small(kept) and not _lost(kept)
    ]
    # hooks form reference cycles, which keep the model in memory until the next collection
    gc.collect()
    model = loader.load(
        opening.folder,
        device=opening.device,
        dtype=opening.dtype,
        date=opening.date,
        enable_thinking=opening.enable_thinking,
        tensor_parallel=opening.tensor_parallel,
    )
    _open.append((opening, model))
    return model


def last_loaded() -> LanguageModel | None:
    """The model that was loaded last."""
    return _open[-1][1] if _open else None


def _lost(model: LanguageModel) -> bool:
    """Whether a process that held a part of the model is no more."""
    return model.ranks is not None and bool(model.ranks.lost)
