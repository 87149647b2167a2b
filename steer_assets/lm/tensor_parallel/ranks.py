"""The first rank of a model: it has the others run what it runs.

All ranks call the same functions with the same arguments in the same order (SPMD); results are
those of the first rank. Other ranks keep their parts of models, their generators and other objects
under numbers, by which the first rank names them. Ranks are processes on one host.

If a rank is killed, or fails where others do not, the others would wait for it for ever; a thread
watches, and ends all of them, after which the first rank raises `RankError`.
"""

from __future__ import annotations

import io
import pickle
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch.distributed as dist
from torch import Tensor

from steer_assets.lm.tensor_parallel.follower import (
    Advance,
    Call,
    Follower,
    Message,
    agree,
    join,
)
from steer_assets.lm.tensor_parallel.followers import GRACE_S, Followers

#: How long ranks may take to start, and to end what the first one has ended.
_PATIENCE_S = 600.0
_END = object()


class RankError(RuntimeError):
    """A rank of a model was lost or failed, so that the model must be loaded again."""


class _Writer(pickle.Pickler):
    """Writes messages; objects that every rank keeps are named by their numbers."""

    def __init__(self, file: io.BytesIO, numbers: Mapping[int, int]) -> None:
        super().__init__(file)
        self._numbers = numbers

    def persistent_id(self, obj: Any) -> int | None:
        return self._numbers.get(id(obj))


class Leader:
    """The first rank among ``n``."""

    def __init__(self, n: int, backend: str) -> None:
        """Start the other ranks; raises RankError if one does not start."""
        self.n = n
        self._number = 0
        self._numbers: dict[int, int] = {}
        self._dropped: list[int] = []
        self._others = Followers(n, backend)
        self._finish(0)
        join(self._others.places[0])

    @property
    def inside(self) -> bool:
        """Whether all ranks run one function now."""
        return self._others.running > 0

    @property
    def lost(self) -> str:
        """Why the other ranks are no more; empty while they are."""
        return self._others.lost

    def call(self, work: Callable[..., Any], arguments: tuple[Any, ...], named: Any) -> Any:
        """The result of a function, or of a constructor, that every rank runs."""
        if work.__name__ == "__init__":
            made, *others = arguments
            sent = Call(type(made), tuple(others), _silent(named), keep=True)
            number, _ = self._run(sent, lambda: work(*arguments, **named))
            self._keep(made, number)
            return None
        sent = Call(_public(work), arguments, _silent(named))
        return self._run(sent, lambda: work(*arguments, **named))[1]

    def stream(
        self, work: Callable[..., Any], arguments: tuple[Any, ...], named: Any
    ) -> Iterator[Any]:
        """Values of a generator that every rank advances together."""
        sent = Call(_public(work), arguments, _silent(named), keep=True)
        number, local = self._run(sent, lambda: work(*arguments, **named))
        try:
            while True:
                _, found = self._run(Advance(number), lambda: next(local, _END))
                if found is _END:
                    return
                yield found
        finally:
            local.close()
            self._dropped.append(number)

    def open(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What a function makes on every rank, such as a model; others keep theirs as long."""
        number, made = self._run(Call(work, arguments, {}, keep=True), lambda: work(*arguments))
        self._keep(made, number)
        return made

    def agree(self, values: Tensor) -> Tensor:
        """The first rank's values."""
        return agree(values)

    def end(self) -> None:
        """End the other ranks; models that they have parts of can be used no more."""
        self._others.kill("the processes of the model have been ended; load it again")
        if dist.is_initialized():
            dist.destroy_process_group()

    def _keep(self, made: Any, number: int) -> None:
        self._numbers[id(made)] = number
        weakref.finalize(made, self._forget, id(made), number)

    def _forget(self, identity: int, number: int) -> None:
        self._numbers.pop(identity, None)
        self._dropped.append(number)

    def _run(self, action: Call | Advance, local: Callable[[], Any]) -> tuple[int, Any]:
        """The message's number, and what this rank's own part of the action returns."""
        if self.lost:
            raise RankError(self.lost)
        self._number += 1
        dropped, self._dropped = tuple(self._dropped), []
        data = io.BytesIO()
        _Writer(data, self._numbers).dump(Message(self._number, dropped, action))
        self._others.send(data.getbuffer())
        self._others.running = self._number
        try:
            found = local()
        except BaseException as error:
            self._others.running = 0
            self._failed(error)
            raise
        self._others.running = 0
        self._finish(self._number)
        return self._number, found

    def _finish(self, number: int) -> None:
        """Wait until every rank has done the message; raise RankError if one could not."""
        done = self._others.settle(number, _PATIENCE_S)
        errors = self._others.errors(number)
        if not done or errors:
            why = ": ".join(errors[0]) if errors else "they did not end what the first one ended"
            self._others.kill(f"other ranks of the model failed: {why}")
            self.end()
            raise RankError(self.lost)

    def _failed(self, error: BaseException) -> None:
        """Return if every rank failed in the same way; otherwise end them, and say who began."""
        kind = type(error).__name__
        done = self._others.settle(self._number, GRACE_S)
        errors = self._others.errors(self._number)
        if done and [name for name, _ in errors] == [kind] * (self.n - 1):
            return
        if other := next((one for one in errors if one[0] != kind), None):
            self._others.kill(f"another rank of the model failed: {': '.join(other)}")
        known = self.lost
        self.end()
        if known:
            raise RankError(known) from error


def _public(work: Callable[..., Any]) -> Any:
    """The function under its name in its module, by which other processes find it."""
    found: Any = sys.modules[work.__module__]
    for name in work.__qualname__.split("."):
        found = getattr(found, name)
    return found


def _silent(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in named.items() if name != "on_progress"}


_leaders: list[Leader] = []


def leader(n: int, backend: str) -> Leader:
    """The first of ``n`` ranks, which is this process; ranks of another number are ended."""
    if _leaders and (_leaders[0].lost or _leaders[0].n != n):
        _leaders.pop().end()
    if not _leaders:
        _leaders.append(Leader(n, backend))
    return _leaders[0]


def own(n: int) -> Leader | Follower:
    """The ranks as this process sees them."""
    return _leaders[0] if _leaders else Follower(n)
