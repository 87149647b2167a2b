"""The processes of the other ranks, as the first one starts, tells, watches and ends them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import threading
import time
import weakref
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

from steer_assets.lm.tensor_parallel.follower import LOOPBACK, Place, Report, follow

#: How long the other ranks have to fail as one of them did, before all are ended.
GRACE_S = 3.0


class Followers:
    """Ranks 1 to n - 1.

    ``lost`` says in a sentence why they have been ended, and is empty before that. ``running`` is
    the number of the message that the first rank works on itself, 0 for none.
    """

    def __init__(self, n: int, backend: str) -> None:
        """Start them, each on this process's number of threads."""
        os.environ |= {name: os.environ.get(name, value) for name, value in LOOPBACK.items()}
        self.n, self.lost, self.running = n, "", 0
        self._news = threading.Condition()
        self._reports: dict[int, Report] = {}
        folder = tempfile.mkdtemp(prefix="steer-ranks-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        meeting, threads = (Path(folder) / "meeting").as_uri(), torch.get_num_threads()
        self.places = [Place(rank, n, meeting, backend, threads) for rank in range(n)]
        self._processes: list[SpawnProcess] = []
        self._connections: list[Connection] = []
        context = multiprocessing.get_context("spawn")
        for place in self.places[1:]:
            here, there = context.Pipe()
            process = context.Process(target=follow, args=(there, place), daemon=True)
            process.start()
            there.close()
            self._processes.append(process)
            self._connections.append(here)
        threading.Thread(target=self._watch, daemon=True).start()

    def send(self, message: memoryview) -> None:
        """Tell every rank; that one has died is noticed by the thread that watches."""
        for connection in self._connections:
            try:
                connection.send_bytes(message)
            except OSError:
                self._news.acquire()
                self._news.wait_for(lambda: bool(self.lost), GRACE_S)
                self._news.release()

    def settle(self, number: int, seconds: float) -> bool:
        """Wait for all reports on a message, or a loss; whether there are all reports."""
        with self._news:
            self._news.wait_for(lambda: bool(self.lost) or self._all_at(number), seconds)
            return not self.lost and self._all_at(number)

    def errors(self, number: int) -> list[tuple[str, str]]:
        """Kind and words of every rank's error in a message."""
        reports = [self._reports[rank] for rank in sorted(self._reports)]
        return [r.error for r in reports if r.number == number and r.error is not None]

    def kill(self, lost: str) -> None:
        """End all of them, for the reason ``lost`` unless there is one already.

        Their connections with the first rank close, by which its exchange ends with an error.
        """
        with self._news:
            self.lost = self.lost or lost
            self._news.notify_all()
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join(GRACE_S)

    def _all_at(self, number: int) -> bool:
        return sum(r.number == number for r in self._reports.values()) == self.n - 1

    def _watch(self) -> None:
        """Take reports; end all ranks if one dies, or fails where the others do not."""
        of_connection = {one: i for i, one in enumerate(self._connections)}
        of_sentinel = {one.sentinel: i for i, one in enumerate(self._processes)}
        while True:
            for ready in wait([*of_connection, *of_sentinel]):
                found = of_sentinel.get(ready) if isinstance(ready, int) else None
                at = of_connection[ready] if found is None else found  # type: ignore[index]
                try:
                    report: Report = self._connections[at].recv()
                except (EOFError, OSError):
                    self._lose(at)
                    return
                with self._news:
                    self._reports[at + 1] = report
                    self._news.notify_all()
                if report.error is not None:
                    threading.Thread(
                        target=self._end_unless, args=(at, report), daemon=True
                    ).start()

    def _end_unless(self, at: int, report: Report) -> None:
        """End all unless the first rank soon fails too, instead of waiting for a failed one."""
        time.sleep(GRACE_S)
        if self.running == report.number:
            kind, words = report.error or ("", "")
            self.kill(f"rank {at + 1} of {self.n} of the model failed: {kind}: {words}")

    def _lose(self, at: int) -> None:
        process = self._processes[at]
        process.join(GRACE_S)
        self.kill(
            f"rank {at + 1} of {self.n} of the model has ended (exit code {process.exitcode}): it "
            "was killed, perhaps because memory was too small; run the stage again, which goes on "
            "from what is stored"
        )
