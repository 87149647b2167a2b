"""Results of engines are those of one process, however many engines there are, and whoever dies."""

from __future__ import annotations

import dataclasses
import pickle
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psutil
import pytest
from polars.testing import assert_frame_equal

from steer_assets.assets import STAGES
from steer_assets.catalog.studies import Study
from steer_assets.lm.texts import parts
from steer_assets.parallel_processes import Piece
from steer_assets.pipeline import resuming
from steer_assets.pipeline.stage import Produced, StageRun
from steer_assets.resources import engines
from tests.finished import one_thread, stored
from tests.tiny import World


def _small_batches(study: Study) -> Study:
    """Texts in batches of few rows, so that there are several pieces."""
    return study.model_copy(
        update={"generation": study.generation.model_copy(update={"batch_rows": 8})}
    )


def _all_tokens(study: Study) -> Study:
    """Moments of all tokens, which depend on the order of batches."""
    return study.model_copy(
        update={"spectra": study.spectra.model_copy(update={"all_tokens": True})}
    )


#: Stages that give pieces to engines, with what makes several pieces of the tiny study.
STAGES_WITH_PIECES: dict[str, Callable[[Study], Study]] = {
    "generations": _small_batches,
    "behavioral_spectra": lambda study: study,
    "logit_distances": lambda study: study,
    "text_divergences": lambda study: study,
    "text_fisher": lambda study: study,
    "protocol_measures": lambda study: study,
    "activation_caches": _all_tokens,
}


@pytest.fixture
def run_of(finished: World) -> Callable[[str], StageRun]:
    def make(stage: str) -> StageRun:
        found = stored(finished, stage)
        return dataclasses.replace(found, study=STAGES_WITH_PIECES[stage](found.study))

    return make


@pytest.fixture(autouse=True)
def every_unit_of_texts_is_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of the tiny study are short beside their prompts, and would be one piece."""
    monkeypatch.setattr(parts, "_TEXT_TOKENS", 0)


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
        return STAGES[run.stage].make(run)


def assert_same(there: Produced, here: Produced) -> None:
    """Tables to the last bit, and files to the last byte."""
    for mine, theirs in zip(here.rows, there.rows, strict=True):
        assert_frame_equal(theirs.frame, mine.frame, check_exact=True)
    assert there.files == here.files


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


class _Backwards:
    """Runs pieces in this process as another would get them, the last one first."""

    def __init__(self) -> None:
        self.n_pieces: list[int] = []

    def run(self, pieces: Sequence[Piece]) -> Iterator[tuple[int, Any]]:
        self.n_pieces.append(len(pieces))
        for number in reversed(range(len(pieces))):
            piece = pickle.loads(pickle.dumps(pieces[number]))
            yield number, pickle.loads(pickle.dumps(piece()))


@pytest.mark.parametrize("stage", STAGES_WITH_PIECES)
def test_pieces_in_any_order_give_the_results_of_one_process(
    stage: str, run_of: Callable[[str], StageRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, backwards = run_of(stage), _Backwards()
    here = made(run)
    monkeypatch.setenv("STEER_ENGINES", "2")
    monkeypatch.setattr(resuming, "engines", lambda _: backwards)
    assert_same(made(run), here)
    assert max(backwards.n_pieces) > 1, "one piece has one order"


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGES_WITH_PIECES)
def test_results_are_the_same_for_any_number_of_engines(
    stage: str, run_of: Callable[[str], StageRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(stage)
    here = made(run)
    for n in ("1", "2"):
        monkeypatch.setenv("STEER_ENGINES", n)
        assert_same(made(run), here)


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGES_WITH_PIECES)
def test_an_engine_that_is_killed_changes_nothing(
    stage: str, run_of: Callable[[str], StageRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(stage)
    here = made(run)
    monkeypatch.setenv("STEER_ENGINES", "2")
    died: list[int] = []
    killer = threading.Thread(target=kill_an_engine, args=(died,))
    killer.start()
    there = made(run)
    killer.join()
    assert died
    assert_same(there, here)


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
