"""Texts by engines are those of one process, however many engines there are, and whoever dies."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator

import psutil
import pytest
from polars.testing import assert_frame_equal

from steer_assets.assets import STAGES
from steer_assets.pipeline.stage import Produced, StageRun
from steer_assets.resources import engines
from tests.finished import one_thread, stored
from tests.tiny import World


@pytest.fixture
def run(finished: World) -> StageRun:
    """The stage of texts, in batches of few rows so that there are several pieces."""
    found = stored(finished, "generations")
    generation = found.study.generation.model_copy(update={"batch_rows": 8})
    return dataclasses.replace(
        found, study=found.study.model_copy(update={"generation": generation})
    )


@pytest.fixture(autouse=True)
def other_engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("STEER_ENGINES", raising=False)
    yield
    for wanted in (1, 2):
        pool = engines.engines(engines.Asked(wanted, 1, 0, on_ray=False))
        pool.close()  # type: ignore[attr-defined]


def made(run: StageRun) -> Produced:
    run.shards.clear()
    with one_thread():
        return STAGES["generations"].make(run)


def kill_an_engine(died: list[int]) -> None:
    """Kill the first engine that has worked for a while."""
    end = time.monotonic() + 120
    while not died and time.monotonic() < end:
        for process in psutil.Process().children(recursive=True):
            with_spawn = any("spawn_main" in word for word in process.cmdline())
            if with_spawn and sum(process.cpu_times()[:2]) > 2:
                process.kill()
                died.append(process.pid)
                return
        time.sleep(0.02)


@pytest.mark.faults
def test_texts_are_the_same_for_any_number_of_engines(
    run: StageRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = made(run)
    for n in ("1", "2"):
        monkeypatch.setenv("STEER_ENGINES", n)
        there = made(run)
        for mine, theirs in zip(here.rows, there.rows, strict=True):
            assert_frame_equal(theirs.frame, mine.frame, check_exact=True)


@pytest.mark.faults
def test_an_engine_that_is_killed_changes_nothing(
    run: StageRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = made(run)
    monkeypatch.setenv("STEER_ENGINES", "2")
    died: list[int] = []
    killer = threading.Thread(target=kill_an_engine, args=(died,))
    killer.start()
    there = made(run)
    killer.join()
    assert died
    for mine, theirs in zip(here.rows, there.rows, strict=True):
        assert_frame_equal(theirs.frame, mine.frame, check_exact=True)


@pytest.mark.parametrize("value", ["two", "0", "-1", "ray:", "ray:x", "1.5"])
def test_what_is_no_number_of_engines_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEER_ENGINES", value)
    with pytest.raises(engines.EngineSettingError, match="STEER_ENGINES is") as refused:
        engines.asked()
    assert value in str(refused.value)


def test_this_process_computes_where_nothing_is_asked_for() -> None:
    assert engines.asked() is None
