"""The automation conditions of the real definitions, evaluated tick by tick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import pytest

from steer_assets.assets import STAGES
from steer_assets.automation.schedules import SCHEDULES
from steer_assets.automation.sensors import SENSORS
from steer_assets.pipeline.conditions import condition, is_heavy
from tests.pipeline.ticks import MODEL, PAIR_STAGES, TRAITS, Ticks, only

#: Its content stays the same; other tests change that of another trait.
SAME_TRAIT = "formality"


@pytest.fixture(scope="module", autouse=True)
def _few_traits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        only(patch, TRAITS)
        yield


@pytest.fixture
def ticks() -> Iterator[Ticks]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ticks(instance)


@dataclass
class Settled:
    """An instance on which everything was made once, and what each tick on the way asked for."""

    ticks: Ticks
    asked: list[dict[str, set[str]]]


@pytest.fixture(scope="module")
def settled() -> Iterator[Settled]:
    """Made once, because hundreds of events are written; a test that uses it adds to it."""
    with dg.DagsterInstance.ephemeral() as instance:
        ticks = Ticks(instance)
        asked = [ticks.tick()]
        ticks.add_model()
        asked += [ticks.tick(), ticks.tick()]
        ticks.roots_made(passed=False)
        asked.append(ticks.tick())
        ticks.roots_made()
        asked.append(ticks.tick())
        ticks.pair_made()
        asked.append(ticks.tick())
        yield Settled(ticks, asked)


def test_a_new_model_is_brought_in_first_then_every_pair_in_one_run(settled: Settled) -> None:
    traits = set(TRAITS)
    empty, added, _, _, roots, pairs = settled.asked
    assert empty == {}
    assert added == {
        "model_snapshot": {MODEL},
        "prompt_sets": traits,
        "scorer_validation": traits,
    }
    assert set(roots) == {stage.name for stage in PAIR_STAGES}
    assert {len(found) for found in roots.values()} == {len(traits)}
    assert "generations" not in pairs


def demo_made(ticks: Ticks) -> tuple[str, ...]:
    """One model with one of its traits, as the demo leaves them; returns the other traits."""
    ticks.add_model()
    first, *others = TRAITS
    ticks.made(STAGES["model_snapshot"], {"model": MODEL}, "1")
    for name in ("prompt_sets", "scorer_validation"):
        ticks.made(STAGES[name], {"trait": first}, "1")
    for stage in PAIR_STAGES:
        ticks.made(stage, {"model": MODEL, "trait": first}, "1")
    ticks.made(STAGES["identifiability_summary"], {}, "1")
    return tuple(others)


def test_what_was_missing_at_the_first_look_is_left_to_the_user(ticks: Ticks) -> None:
    others = demo_made(ticks)
    assert [ticks.tick(), ticks.tick()] == [{}, {}]
    # The user asks for the prompts of a trait: the costly rest does not follow by itself.
    for name in ("prompt_sets", "scorer_validation"):
        ticks.made(STAGES[name], {"trait": others[0]}, "1")
    assert [ticks.tick(), ticks.tick()] == [{}, {}]
    # Once made by hand, light stages follow their inputs as everywhere.
    key = {"model": MODEL, "trait": others[0]}
    for stage in PAIR_STAGES:
        ticks.made(stage, key, "1")
    ticks.tick()
    ticks.made(STAGES["activation_caches"], key, "2")
    asked = ticks.tick()
    assert "covariance_matrices" in asked
    assert not any(is_heavy(STAGES[name]) for name in asked)


def test_after_the_demo_a_new_model_runs_with_all_traits_and_nothing_else(ticks: Ticks) -> None:
    others = demo_made(ticks)
    ticks.tick()
    ticks.add_model("new")
    asked = ticks.tick()
    assert asked == {
        "model_snapshot": {"new"},
        "prompt_sets": set(others),
        "scorer_validation": set(others),
    }
    ticks.made(STAGES["model_snapshot"], {"model": "new"}, "1")
    for name in ("prompt_sets", "scorer_validation"):
        for trait in others:
            ticks.made(STAGES[name], {"trait": trait}, "1")
    asked = ticks.tick()
    assert set(asked) == {stage.name for stage in PAIR_STAGES}
    assert asked["generations"] == {f"new|{trait}" for trait in TRAITS}
    assert ticks.tick() == {}


def test_after_the_demo_a_new_trait_runs_with_the_models_and_nothing_else(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo_made(ticks)
    ticks.tick()
    only(monkeypatch, [*TRAITS, "zest"])
    assert ticks.tick() == {"prompt_sets": {"zest"}, "scorer_validation": {"zest"}}
    for name in ("prompt_sets", "scorer_validation"):
        ticks.made(STAGES[name], {"trait": "zest"}, "1")
    asked = ticks.tick()
    assert set(asked) == {stage.name for stage in PAIR_STAGES}
    assert asked["generations"] == {f"{MODEL}|zest"}
    assert ticks.tick() == {}


def test_nothing_is_asked_for_twice(settled: Settled) -> None:
    _, added, again, *_ = settled.asked
    assert added
    assert again == {}


def test_a_failed_blocking_check_holds_back_what_reads_it_until_it_passes(settled: Settled) -> None:
    *_, failed, passed, _ = settled.asked
    assert failed == {}
    assert "activation_caches" in passed


def test_new_inputs_run_light_stages_only(settled: Settled) -> None:
    trait = TRAITS[0]
    assert trait != SAME_TRAIT
    key = {"model": MODEL, "trait": trait}
    settled.ticks.made(STAGES["activation_caches"], key, "2")
    asked = settled.ticks.tick()
    assert "covariance_matrices" in asked
    assert not any(is_heavy(STAGES[name]) for name in asked)


def test_the_same_content_again_runs_nothing(settled: Settled) -> None:
    settled.ticks.tick()
    settled.ticks.made(STAGES["activation_caches"], {"model": MODEL, "trait": SAME_TRAIT}, "1")
    assert not set(settled.ticks.tick()) - {"identifiability_summary"}


def test_only_two_sensors_run_from_the_start() -> None:
    running = {s.name for s in SENSORS if s.default_status == dg.DefaultSensorStatus.RUNNING}
    assert running == {"new_models", "automation"}
    assert {s.default_status for s in SCHEDULES} == {dg.DefaultScheduleStatus.STOPPED}
    assert len(SCHEDULES) == 5


@pytest.mark.parametrize("times", ["", "*/10 * * * *"])
def test_the_summary_is_made_at_its_times_only(monkeypatch: pytest.MonkeyPatch, times: str) -> None:
    monkeypatch.setenv("STEER_SUMMARY_CRON", times)
    name, made = dg.AssetKey("summary"), dg.AssetKey("report")
    summary = dg.asset(
        lambda: None,
        name="summary",
        deps=[made],
        automation_condition=condition(STAGES["identifiability_summary"]),
    )
    graph = dg.Definitions([dg.asset(lambda: None, name="report"), summary])
    asked = {}
    with dg.DagsterInstance.ephemeral() as instance:
        cursor = None
        #: Minutes of the ticks; a report is made before those at 2 and 13.
        for minute in (1, 2, 4, 10, 11, 13, 15, 20, 30):
            if minute in (2, 13):
                instance.report_runless_asset_event(dg.AssetMaterialization(made))
            at = datetime(2026, 11, 21, 8, minute, 30, tzinfo=UTC)
            result = dg.evaluate_automation_conditions(
                graph, instance, cursor=cursor, evaluation_time=at
            )
            cursor, asked[minute] = result.cursor, result.get_num_requested(name)
            if asked[minute]:
                instance.report_runless_asset_event(dg.AssetMaterialization(name))
    assert [minute for minute, n in asked.items() if n] == ([10, 20] if times else [2, 13])
