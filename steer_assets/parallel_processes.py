"""Parallel execution of pieces in processes; what a killed process had begun is begun again.

Two threads of Python share one interpreter lock, which two processes do not. What a piece computes
must depend on its arguments alone, so that results are the same for any number of processes.
Processes are started by `spawn`, because a process that runs threads cannot be forked safely.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

#: Processes that may die one after another before a piece ends.
MAX_LOSSES = 3


class LostWorkersError(RuntimeError):
    """Workers died again and again without finishing a piece."""

    def __init__(self, error: object) -> None:
        super().__init__(
            f"{MAX_LOSSES} workers died without finishing a piece, so the piece is probably larger "
            "than a worker's memory; give workers more of it, or, for sampled texts, set a smaller "
            f"generation.batch_rows ({error})"
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """A call of a function that can be imported, with arguments that can be pickled."""

    work: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Any:
        """The function's result."""
        return self.work(**self.arguments)


class Processes:
    """A pool of `n` processes, which start with the first piece and stay until `close`."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._pool: ProcessPoolExecutor | None = None

    def run(self, pieces: Sequence[Piece]) -> Iterator[tuple[int, Any]]:
        """Results with the numbers of their pieces, in the order in which they come.

        Raises:
            LostWorkersError: `MAX_LOSSES` processes died without one result between them.
            Exception: that of a piece, after which no further piece is begun.
        """
        left = dict(enumerate(pieces))
        losses = 0
        while left:
            n_before = len(left)
            try:
                yield from self._pass(left)
            except BrokenProcessPool as error:
                losses = losses + 1 if len(left) == n_before else 1
                self.close()
                if losses >= MAX_LOSSES:
                    raise LostWorkersError(error) from error

    def _pass(self, left: dict[int, Piece]) -> Iterator[tuple[int, Any]]:
        """Run all that is left, and remove what is done from it."""
        pool = self._open()
        waiting: dict[Future[Any], int] = {pool.submit(p): i for i, p in left.items()}
        try:
            for done in as_completed(waiting):
                found = done.result()
                del left[waiting[done]]
                yield waiting[done], found
        finally:
            for future in waiting:
                future.cancel()

    def _open(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.n, context, initializer=begin_worker)
        return self._pool

    def close(self) -> None:
        """End the processes; a later piece starts others."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def begin_worker() -> None:
    """Leave interrupts to the parent of this process, and end when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
