"""Work side by side in threads, a share of the cores each.

A step of decoding, or the encoding of a few sentences, is hundreds of small operations, and after
each of them every core waits for the slowest; some do not split over cores at all. Two batches of
half the size, one core each, wait for nobody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

import torch

Found = TypeVar("Found")


def side_by_side(runs: Sequence[Callable[[], Found]], n_lanes: int | None = None) -> list[Found]:
    """What every run gives, in order; the first error is raised when all have ended.

    Args:
        runs: functions without arguments, safe to run at the same time.
        n_lanes: how many run at once, each on an equal share of torch's threads, whose number a
            result may depend on in its last bits; None runs all at once. One lane is the calling
            thread with all cores.
    """
    n_lanes = len(runs) if n_lanes is None else n_lanes
    if n_lanes < 2:
        return [run() for run in runs]
    n_threads = torch.get_num_threads()
    share = max(1, n_threads // n_lanes)
    try:
        waiting = [_pool(n_lanes).submit(_with_threads, share, run) for run in runs]
        wait(waiting)  # an error does not leave the others running
        return [done.result() for done in waiting]
    finally:
        torch.set_num_threads(n_threads)  # what a thread sets holds for threads to come, too


def _with_threads(n: int, run: Callable[[], Found]) -> Found:
    torch.set_num_threads(n)
    return run()


@cache
def _pool(n: int) -> ThreadPoolExecutor:
    """Threads that stay: each new one would have a heap of its own, which is never given back."""
    return ThreadPoolExecutor(n, "lane")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not pass a fork
