"""Parallel batches: threads are shared, restored, and survive errors and forks."""

from __future__ import annotations

import os
import threading

import pytest
import torch

from steer_assets import parallel_batches


def test_lanes_share_the_threads_and_give_them_back():
    before, seen, both = torch.get_num_threads(), [], threading.Barrier(2)

    def run():
        both.wait(timeout=10)  # together, not one after the other
        seen.append(torch.get_num_threads())
        return threading.current_thread().name

    names = parallel_batches.side_by_side([run, run])
    assert len(set(names)) == 2
    assert seen == [max(1, before // 2)] * 2
    assert torch.get_num_threads() == before


def test_a_lane_that_fails_fails_the_call_and_gives_its_threads_back():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        parallel_batches.side_by_side([lambda: 1, lambda: 1 // 0])
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_lanes_work_after_a_fork():
    assert parallel_batches.side_by_side([lambda: 1, lambda: 2]) == [1, 2]
    child = os.fork()
    if child == 0:
        os._exit(sum(parallel_batches.side_by_side([lambda: 3, lambda: 4])))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_lanes_may_be_fewer_or_more_than_the_runs():
    before = torch.get_num_threads()
    for n_lanes in (1, 2, 5):
        found = parallel_batches.side_by_side(
            [lambda i=i: (i, torch.get_num_threads()) for i in range(4)], n_lanes
        )
        assert found == [(i, max(1, before // n_lanes)) for i in range(4)]
