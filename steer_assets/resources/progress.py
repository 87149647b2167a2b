"""Live progress of long stages.

Stages report `done of total` to listeners: the terminal of `steer run` draws a progress bar, a run
started from the UI writes a line to its log every few seconds.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

_LOG_EVERY_S = 10.0


class Measured(Protocol):
    """Progress as reported by the language-model library."""

    @property
    def done(self) -> int: ...  # noqa: D102
    @property
    def total(self) -> int: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102
    @property
    def tokens_per_second(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class StageProgress:
    """Progress of one stage of one partition; `done == total` is the last report."""

    stage: str
    partition: str
    step: str
    done: int
    total: int
    unit: str
    tokens_per_second: float | None
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class StageEvent:
    """A stage of one partition is to be made, started, was made, or was found up to date."""

    stage: str
    partition: str
    what: Literal["due", "started", "made", "reused"]
    seconds: float = 0.0


Listener = Callable[[StageProgress | StageEvent], None]
_listeners: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every report to `listener` within the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def announce(report: StageProgress | StageEvent) -> None:
    """Send a report to every listener."""
    for listener in _listeners:
        listener(report)


def throttled_log(log: logging.Logger) -> Listener:
    """A listener that writes at most one line every ten seconds."""
    last = time.monotonic()

    def listener(report: StageProgress | StageEvent) -> None:
        nonlocal last
        if isinstance(report, StageProgress) and time.monotonic() - last >= _LOG_EVERY_S:
            last = time.monotonic()
            log.info(describe(report))

    return listener


def describe(report: StageProgress) -> str:
    """One line: stage, step, done of total, tokens per second, time left."""
    parts = [f"{report.partition} {report.stage}: {report.step}"]
    parts.append(f"{report.done}/{report.total} {report.unit}")
    if report.tokens_per_second:
        parts.append(f"{report.tokens_per_second:.0f} tokens/s")
    if report.seconds_left is not None:
        parts.append(f"{report.seconds_left:.0f} s left")
    return ", ".join(parts)


class Reporter:
    """Turns measured counts of one step into reports with the time left."""

    def __init__(self, stage: str, partition: str, step: str) -> None:
        self._stage, self._partition, self._step = stage, partition, step
        self._started = time.monotonic()
        self._found = 0

    def found(self, measured: Measured, n: int) -> None:
        """Report `n` units done by an earlier run, which do not count towards the speed."""
        self._found += n
        self(measured)

    def __call__(self, measured: Measured) -> None:
        """Send a report to every listener."""
        elapsed = time.monotonic() - self._started
        left = None
        if measured.done > self._found and measured.total:
            left = elapsed * (measured.total - measured.done) / (measured.done - self._found)
        report = StageProgress(
            self._stage,
            self._partition,
            self._step,
            measured.done,
            measured.total,
            measured.unit,
            measured.tokens_per_second,
            left,
        )
        announce(report)
