"""When each stage runs by itself.

Heavy stages (those that run the language model) are made once, where they are missing; light ones
again whenever an input of theirs in the same partition got other content; the summary whenever a
report did. Nothing runs on inputs whose blocking checks failed.

What changes in the catalog (prompts, labelled texts, a study) is no event of Dagster: the nightly
refresh, `steer run` or a person brings it through all stages in order.
"""

import dagster as dg

from steer_assets.pipeline.stage import Stage

AC = dg.AutomationCondition
#: Runs a language model only if one is among the scorers, and follows the texts that it scores.
_LIGHT = "classifier_scores"
_OTHER_DIMENSIONS = dg.AssetSelection.assets("prompt_sets", "model_snapshot", "scorer_validation")


def holds_language_model(stage: Stage) -> bool:
    """Whether a language model is in memory while the stage runs."""
    return "pytorch" in stage.kinds


def is_heavy(stage: Stage) -> bool:
    """Whether the stage is worth running once only."""
    return holds_language_model(stage) and stage.name != _LIGHT


def _checks_passed() -> dg.AutomationCondition:
    """Blocking checks of every input passed, or the input is made in the run asked for now.

    `all_deps_blocking_checks_passed` does not see that an asset asked for brings its checks along,
    and would give every stage a run of its own; within a run Dagster itself holds back what is
    downstream of a failed check.
    """
    passed = AC.all_checks_match(AC.check_passed(), blocking_only=True)
    return AC.all_deps_match(passed | AC.will_be_requested()).with_label(
        "blocking checks of all inputs passed"
    )


def _quiet() -> dg.AutomationCondition:
    return ~AC.any_deps_in_progress() & ~AC.in_progress() & _checks_passed()


def _became_missing() -> dg.AutomationCondition:
    """Missing since it was last asked for.

    As in `on_missing`, but what is missing when automation first looks counts too: a model whose
    partition is older than the daemon, and the prompts of a fresh installation. A new version of
    an input gives what failed before another try.
    """
    asked_again = AC.missing().newly_true() | (AC.missing() & AC.any_deps_updated())
    return (
        asked_again.since(AC.newly_requested() | AC.newly_updated())
        & AC.missing()
        & ~AC.any_deps_missing()
    )


def _input_changed() -> dg.AutomationCondition:
    """An input of the same partition was made anew, with other content, by another run."""
    changed = AC.any_deps_match(AC.data_version_changed() & ~AC.executed_with_root_target()).ignore(
        _OTHER_DIMENSIONS
    )
    return (
        changed.since(AC.newly_requested() | AC.newly_updated())
        & ~AC.missing()
        & ~AC.any_deps_missing()
    )


def condition(stage: Stage) -> dg.AutomationCondition:
    """The automation condition of a stage."""
    if not stage.dimensions:
        # Not held up by checks: one partition's failing check would keep all others out.
        return AC.eager().without(~AC.any_deps_missing()).with_label("when a report was made")
    if is_heavy(stage):
        return (_became_missing() & _quiet()).with_label("once, where it is missing")
    return ((_became_missing() | _input_changed()) & _quiet()).with_label(
        "where it is missing or an input changed"
    )
