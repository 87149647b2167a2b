"""Pieces of work on a language model, for engines that each hold the model once.

An engine is a process, or an actor on another host. Pieces are cut by the caller and never by an
engine's memory, and an engine has a fixed number of threads, so that results are the same to the
last bit for any number of engines on processors of one kind.
"""

from __future__ import annotations

import datetime
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from steer_assets.lm.model import LanguageModel
from steer_assets.parallel_processes import Piece

__all__ = ["Engines", "Opening", "on_model"]


@dataclass(frozen=True, slots=True)
class Opening:
    """How an engine opens a model, and on how many threads it computes.

    sha256: content hashes of weights and tokenizer; another content is another model.
    tensor_parallel: processes that hold the model, the engine and others that it starts.
    """

    folder: Path
    sha256: tuple[str, str]
    date: datetime.date
    device: str
    dtype: str
    threads: int = 1
    tensor_parallel: int = 1


class Engines(Protocol):
    """Where pieces run."""

    def run(self, pieces: Sequence[Piece]) -> Iterator[tuple[int, Any]]:
        """Results with the numbers of their pieces, in the order in which they come.

        Raises:
            LostWorkersError: engines died again and again without a result.
        """
        ...


_opened: dict[Opening, LanguageModel] = {}


def on_model(opening: Opening, work: Callable[..., Any], arguments: Mapping[str, Any]) -> Piece:
    """A piece that calls ``work(model, **arguments)`` on the model of the engine."""
    return Piece(_with_model, {"opening": opening, "work": work, "arguments": arguments})


def _with_model(opening: Opening, work: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    return work(_model(opening), **arguments)


def _model(opening: Opening) -> LanguageModel:
    """The model, loaded by the first piece that needs it; one is in memory at a time."""
    import torch

    from steer_assets.lm.loading import loader

    if opening not in _opened:
        _opened.clear()
        gc.collect()
        torch.set_num_threads(opening.threads)
        _opened[opening] = loader.load(
            opening.folder,
            device=opening.device,
            dtype=opening.dtype,
            date=opening.date,
            tensor_parallel=opening.tensor_parallel,
        )
    return _opened[opening]
