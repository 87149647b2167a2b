"""Engines as actors of the Ray cluster that the run belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

from steer_assets.parallel_processes import MAX_LOSSES, LostWorkersError, Piece


class _Engine:
    """Runs pieces one after another; a model that a piece opens stays for the next."""

    def started(self) -> None:
        """Answers once Ray has placed the actor."""

    def run(self, piece: Piece) -> Any:
        return piece()


class RayEngines:
    """Up to `n` actors of `cpus` cores and `gpus` GPUs each, placed by Ray on any host.

    They are asked for with the first piece and end with the run's job. Pieces go to those that
    have started: where the cluster has room for fewer, these do all of the work.
    """

    def __init__(self, n: int, *, cpus: int, gpus: int) -> None:
        ray.init(ignore_reinit_error=True, log_to_driver=False)  # address: that of the run's job
        self._make = ray.remote(_Engine).options(num_cpus=cpus, num_gpus=gpus)
        self._starting: dict[Any, Any] = {}  # engines by their answer
        self._idle: list[Any] = []
        for _ in range(n):
            self._start()

    def _start(self) -> None:
        engine = self._make.remote()
        self._starting[engine.started.remote()] = engine

    def run(self, pieces: Sequence[Piece]) -> Iterator[tuple[int, Any]]:
        """As `Processes.run`; the piece of an engine that died is given to another."""
        left = list(range(len(pieces)))[::-1]
        running: dict[Any, tuple[int, Any]] = {}  # a piece and its engine, by their answer
        try:
            yield from self._run(pieces, left, running)
        finally:  # an engine that still runs takes its next piece when it is done
            self._idle += [engine for _, engine in running.values()]

    def _run(
        self, pieces: Sequence[Piece], left: list[int], running: dict[Any, tuple[int, Any]]
    ) -> Iterator[tuple[int, Any]]:
        losses = 0
        number: int | None
        while left or running:
            while left and self._idle:
                number, engine = left.pop(), self._idle.pop()
                running[engine.run.remote(pieces[number])] = (number, engine)
            done = ray.wait([*running, *self._starting], num_returns=1)[0][0]
            number = None
            if done in running:
                number, engine = running.pop(done)
            else:
                engine = self._starting.pop(done)
            try:
                found = ray.get(done)
            except (RayActorError, OutOfMemoryError) as error:
                losses += 1
                self._start()
                if losses >= MAX_LOSSES:
                    raise LostWorkersError(error) from error
                left += [] if number is None else [number]
                continue
            except RayTaskError as error:
                self._idle.append(engine)
                raise error.cause from None
            self._idle.append(engine)
            if number is not None:
                losses = 0
                yield number, found
