"""Where the processor time of a test run went, and how slow the processor is just now.

A summary names the ten slowest tests and gives a line per room. `slowness` scales limits of time:
the same tests have taken three times as many processor seconds on one machine as on another.

Processor seconds of the process and of its awaited children, not wall-clock time, so that other
load does not change them. A shared fixture counts for the first test that uses it.
"""

from __future__ import annotations

import json
import resource
import time
from collections import Counter
from pathlib import Path

import pytest

N_SLOWEST = 10
_FIXED_WORK_S = 0.031  # of `_fixed_work` on an idle core with AVX-512; the limits were set there
_OVERHEAD = "(imports and collection)"


def processor_seconds() -> float:
    """User and system seconds of this process and of its finished children."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))


def _fixed_work() -> float:
    """Processor seconds of a fixed piece of interpreted Python."""
    start, found = time.process_time(), {}
    for i in range(100_000):
        found[str(i * 7919 % 10007)] = (i, found.get(str(i % 97)))
    sorted(found.items())
    return time.process_time() - start


def slowness() -> float:
    """Processor time of fixed work here and now, as a multiple of the reference; at least 1."""
    return max(1.0, min(_fixed_work() for _ in range(5)) / _FIXED_WORK_S)


def room(nodeid: str) -> str:
    """The folder of `tests/` that a test lies in; `tests` for those that lie in none."""
    parts = nodeid.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 else parts[0]


class Timings:
    """Seconds per test, from the reports of this process or of its xdist workers."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.seconds: Counter[str] = Counter()
        self.totals: list[float] = []
        self._last = 0.0

    @pytest.hookimpl
    def pytest_runtest_logstart(self) -> None:
        self._last = processor_seconds()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self):  # type: ignore[no-untyped-def]
        report = yield
        now = processor_seconds()
        report.processor_seconds = now - self._last
        self._last = now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += getattr(report, "processor_seconds", 0.0)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["processor_seconds"] = processor_seconds()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        output = getattr(node, "workeroutput", {})
        self.totals.append(output.get("processor_seconds", 0.0))

    def by_room(self) -> dict[str, float]:
        """Seconds per room, in descending order; time outside of tests comes last."""
        rooms: Counter[str] = Counter()
        for nodeid, seconds in self.seconds.items():
            rooms[room(nodeid)] += seconds
        total = sum(self.totals) or processor_seconds()
        rest = max(0.0, total - sum(self.seconds.values()))
        return {**dict(rooms.most_common()), _OVERHEAD: rest}

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.seconds:
            return
        show = terminalreporter.write_line
        terminalreporter.section("processor seconds")
        for nodeid, seconds in self.seconds.most_common(N_SLOWEST):
            show(f"{seconds:8.1f}  {nodeid}")
        show("")
        for name, seconds in self.by_room().items():
            show(f"{seconds:8.1f}  {name}")
        show(f"{sum(self.by_room().values()):8.1f}  all")
        if self.path is not None:
            self.path.write_text(json.dumps(dict(self.seconds.most_common()), indent=1))
