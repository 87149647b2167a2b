"""The processes beside the first rank: they run what it runs, each on its part of the model."""

from __future__ import annotations

import gc
import io
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from steer_assets.parallel_processes import begin_worker

#: Between hosts nothing is sent; the ranks of a model are on one.
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo"}


@dataclass(frozen=True)
class Place:
    """What a process needs to become a rank: its number, how many there are, where they meet."""

    rank: int
    n: int
    meeting: str
    backend: str
    threads: int


@dataclass(frozen=True)
class Call:
    """A function to run; what it returns is kept under the message's number if ``keep``."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    keep: bool = False


@dataclass(frozen=True)
class Advance:
    """A generator, by its number, to advance by one value."""

    generator: int


@dataclass(frozen=True)
class Message:
    """What to do next, and which kept objects are needed no more."""

    number: int
    dropped: tuple[int, ...]
    action: Call | Advance


@dataclass(frozen=True)
class Report:
    """A message that is done, or the kind and words of its error."""

    number: int
    error: tuple[str, str] | None = None


def agree(values: Tensor) -> Tensor:
    """The first rank's values."""
    shared = values.contiguous()
    dist.broadcast(shared, 0)
    return shared


class Follower:
    """The ranks of a model as those beside the first one see them: every function is run."""

    inside, lost = True, ""

    def __init__(self, n: int) -> None:
        self.n = n

    def agree(self, values: Tensor) -> Tensor:
        """The first rank's values."""
        return agree(values)

    def call(self, work: Callable[..., Any], arguments: tuple[Any, ...], named: Any) -> Any:
        """The function's result."""
        return work(*arguments, **named)

    def stream(
        self, work: Callable[..., Any], arguments: tuple[Any, ...], named: Any
    ) -> Iterator[Any]:
        """The generator's values."""
        yield from work(*arguments, **named)


def join(place: Place) -> None:
    """Meet the other ranks; returns when all are there."""
    dist.init_process_group(
        place.backend, init_method=place.meeting, rank=place.rank, world_size=place.n
    )


class _Reader(pickle.Unpickler):
    """Reads messages; objects that this rank keeps are named in them by their numbers."""

    def __init__(self, data: bytes, kept: dict[int, Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._kept = kept

    def persistent_load(self, pid: Any) -> Any:
        return self._kept[pid]


def follow(connection: Connection, place: Place) -> None:
    """Run what the first rank sends, until it ends."""
    begin_worker()
    os.environ |= LOOPBACK | {
        "RANK": str(place.rank),
        "LOCAL_RANK": str(place.rank),
        "WORLD_SIZE": str(place.n),
    }
    torch.set_num_threads(place.threads)
    connection.send(Report(0))
    join(place)
    kept: dict[int, Any] = {}
    while True:
        try:
            data = connection.recv_bytes()
        except EOFError:
            return
        number = 0
        try:
            message: Message = _Reader(data, kept).load()
            number = message.number
            _act(message, kept)
            report = Report(number)
        except BaseException as error:
            report = Report(number, (type(error).__name__, str(error)))
        connection.send(report)


def _act(message: Message, kept: dict[int, Any]) -> None:
    if message.dropped:
        for number in message.dropped:
            kept.pop(number, None)
        gc.collect()  # hooks form reference cycles
    action = message.action
    if isinstance(action, Advance):
        next(kept[action.generator], None)
        return
    found = action.work(*action.arguments, **action.named)
    if action.keep:
        kept[message.number] = found
