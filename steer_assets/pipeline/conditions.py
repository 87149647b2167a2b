"""Automation conditions: when each stage is materialised without a request.

Heavy stages (those that run the language model) run once, when their result is missing. Light
stages run again when an input in the same partition got new content, and the summary when a report
did. No stage runs on inputs whose blocking checks failed.

What was missing when the daemon first looked is left to the user, who may want nothing of it:
models and traits that are new since then run, and, for a new model, the prompts of all traits.
`automation/catch_up.py` has the sensor that runs the rest.

Dagster has no event for a change of the catalog (prompts, labelled texts, a study): the nightly
refresh, `steer run` or a user materialises the affected stages in order.
"""

import os

import dagster as dg

from steer_assets.pipeline.stage import Stage, registered

AC = dg.AutomationCondition
#: Runs a language model only if one is among the scorers, and must follow new generations.
_LIGHT = "classifier_scores"
#: The summary reads sizes of models, but a model without a report adds nothing to it.
_NOT_REPORTED = dg.AssetSelection.assets("model_snapshot")
_OTHER_DIMENSIONS = dg.AssetSelection.assets("prompt_sets", "model_snapshot", "scorer_validation")


def holds_language_model(stage: Stage) -> bool:
    """Whether the stage holds a language model in memory."""
    return "pytorch" in stage.kinds


def is_heavy(stage: Stage) -> bool:
    """Whether the stage is too expensive to run again on every change of an input."""
    return holds_language_model(stage) and stage.name != _LIGHT


def _checks_passed() -> dg.AutomationCondition:
    """Blocking checks of every input passed, or the input is made in the requested run.

    `all_deps_blocking_checks_passed` ignores that a requested asset is checked in the same run, and
    would start a separate run for every stage; within a run Dagster itself blocks the assets
    downstream of a failed check.
    """
    passed = AC.all_checks_match(AC.check_passed(), blocking_only=True)
    return AC.all_deps_match(passed | AC.will_be_requested()).with_label(
        "blocking checks of all inputs passed"
    )


def _quiet() -> dg.AutomationCondition:
    return ~AC.any_deps_in_progress() & ~AC.in_progress() & _checks_passed()


def _left_to_the_user() -> dg.AutomationCondition:
    """Missing at the first evaluation, and neither requested nor made since."""
    return (AC.missing() & AC.initial_evaluation()).since(AC.newly_requested() | AC.newly_updated())


def _needed_by_a_new_model(stage: Stage) -> dg.AutomationCondition:
    """Whether a pair that is missing, and not left to the user, reads the trait's stage."""
    readers = (s for s in registered().values() if s.dimensions == ("model", "trait"))
    reader = next(s for s in readers if stage.name in s.needs)
    return AC.asset_matches(reader.name, AC.missing() & ~_left_to_the_user())


def _became_missing(stage: Stage) -> dg.AutomationCondition:
    """Missing, not left to the user, and not requested since it became missing.

    A new version of an input permits another attempt after a failure.
    """
    asked_again = AC.missing().newly_true() | (AC.missing() & AC.any_deps_updated())
    free = ~_left_to_the_user()
    if stage.dimensions == ("trait",):
        free = free | _needed_by_a_new_model(stage)
    return (
        asked_again.since(AC.newly_requested() | AC.newly_updated())
        & AC.missing()
        & ~AC.any_deps_missing()
        & free
    )


def _input_changed() -> dg.AutomationCondition:
    """Another run changed the content of an input of the same partition."""
    changed = AC.any_deps_match(AC.data_version_changed() & ~AC.executed_with_root_target()).ignore(
        _OTHER_DIMENSIONS
    )
    return (
        changed.since(AC.newly_requested() | AC.newly_updated())
        & ~AC.missing()
        & ~AC.any_deps_missing()
    )


def _summary() -> dg.AutomationCondition:
    """When a report was made; `STEER_SUMMARY_CRON` names the only times at which it may be.

    Ignores checks: the failing check of one partition would block all others. With many hosts a
    report is always being made, so at these times the summary waits for none.
    """
    made = AC.eager().without(~AC.any_deps_missing())
    times = os.environ.get("STEER_SUMMARY_CRON", "")
    if not times:
        return made.ignore(_NOT_REPORTED).with_label("when a report was made")
    due = made.without(~AC.any_deps_in_progress()).ignore(_NOT_REPORTED)
    due = due & AC.cron_tick_passed(times)
    return due.with_label(f"when a report was made, at {times}")


def condition(stage: Stage) -> dg.AutomationCondition:
    """The automation condition of a stage."""
    if not stage.dimensions:
        return _summary()
    if is_heavy(stage):
        return (_became_missing(stage) & _quiet()).with_label("once, where it is missing")
    return ((_became_missing(stage) | _input_changed()) & _quiet()).with_label(
        "where it is missing or an input changed"
    )
