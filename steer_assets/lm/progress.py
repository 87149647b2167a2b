"""Progress of long calls: units done, total, and throughput."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report. ``done`` and ``total`` count ``unit``; throughput in tokens per second."""

    done: int
    total: int
    unit: str
    tokens_per_second: float | None


OnProgress = Callable[[Progress], None] | None


class Meter:
    """Counts work, from any thread, and reports it; does nothing without a listener.

    ``done`` is reduced when work is abandoned.
    """

    def __init__(self, on_progress: OnProgress, total: int, unit: str) -> None:
        self._on_progress = on_progress
        self._total = total
        self._unit = unit
        self.done = 0
        self._tokens = 0
        self._start = time.perf_counter()
        self._lock = threading.Lock()

    def advance(self, done: int, tokens: int = 0) -> None:
        """Count ``done`` finished units and the ``tokens`` they took, and report."""
        with self._lock:
            self.done += done
            self._tokens += tokens
            if self._on_progress is None:
                return
            seconds = time.perf_counter() - self._start
            rate = self._tokens / seconds if self._tokens and seconds > 0 else None
            self._on_progress(Progress(self.done, self._total, self._unit, rate))
