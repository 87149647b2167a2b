"""Parallel execution of batches in threads, each with an equal share of the cores.

A decoding step, or the encoding of a few sentences, consists of hundreds of small operations; each
ends with a barrier at which all cores wait for the slowest, and some operations do not parallelise
at all. Two batches of half the size on one core each avoid these barriers.
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
    """Results of all runs in order; the first error is raised after all runs have ended.

    Args:
        runs: functions without arguments that are safe to run concurrently.
        n_lanes: how many run at once, each on an equal share of torch's threads; the number of
            threads may change the last bits of a result. None runs all at once; with one lane the
            calling thread runs everything on all cores.
    """
    n_lanes = len(runs) if n_lanes is None else n_lanes
    if n_lanes < 2:
        return [run() for run in runs]
    n_threads = torch.get_num_threads()
    share = max(1, n_threads // n_lanes)
    try:
        waiting = [_pool(n_lanes).submit(_with_threads, share, run) for run in runs]
        wait(waiting)  # after an error, wait for the other runs to end
        return [done.result() for done in waiting]
    finally:
        torch.set_num_threads(n_threads)  # torch's thread count is process-wide: restore it


def _with_threads(n: int, run: Callable[[], Found]) -> Found:
    torch.set_num_threads(n)
    return run()


@cache
def _pool(n: int) -> ThreadPoolExecutor:
    """Threads are reused because the allocator gives each new thread a heap it never returns."""
    return ThreadPoolExecutor(n, "lane")


# a forked child inherits no threads: it needs a new pool
os.register_at_fork(after_in_child=_pool.cache_clear)
