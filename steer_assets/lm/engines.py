"""Pieces of work on a language model, for engines that each hold the model once.

An engine is a process, or an actor on another host. Pieces are cut by the caller and never by an
engine's memory, and an engine has a fixed number of threads, so that results are the same to the
last bit for any number of engines on processors of one kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from steer_assets.lm.opened import Opening, model_of
from steer_assets.parallel_processes import Piece

__all__ = ["Engines", "on_model"]


class Engines(Protocol):
    """Where pieces run."""

    def run(self, pieces: Sequence[Piece]) -> Iterator[tuple[int, Any]]:
        """Results with the numbers of their pieces, in the order in which they come.

        Raises:
            LostWorkersError: engines died again and again without a result.
        """
        ...


def on_model(
    opening: Opening, threads: int, work: Callable[..., Any], arguments: Mapping[str, Any]
) -> Piece:
    """A piece that calls ``work(model, **arguments)`` on the model of the engine.

    What an iterator yields comes as a list.
    """
    return Piece(
        _with_model,
        {"opening": opening, "threads": threads, "work": work, "arguments": arguments},
    )


def _with_model(
    opening: Opening, threads: int, work: Callable[..., Any], arguments: Mapping[str, Any]
) -> Any:
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    found = work(model_of(opening), **arguments)
    return list(found) if isinstance(found, Iterator) else found
