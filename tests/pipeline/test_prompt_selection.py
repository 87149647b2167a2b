"""The prompts of a study: the first of each environment, so a larger study includes a smaller."""

from collections import Counter

import polars as pl
import pytest

from steer_assets.catalog import catalog
from steer_assets.catalog.studies import Study
from steer_assets.catalog.traits import ENVIRONMENTS
from steer_assets.pipeline.design import prompt_selection


@pytest.fixture(scope="module")
def prompts() -> pl.DataFrame:
    trait = catalog.trait("formality")
    columns = ("prompt_id", "environment", "role", "pair_id", "polarity")
    return pl.DataFrame(
        [
            {name: getattr(prompt, name) for name in columns}
            for prompt in (*trait.pairs("contrast"), *trait.tests())
        ]
    )


def _study(n_each: int) -> Study:
    study = catalog.study("quick")
    chosen = study.prompts.model_copy(update={"test": dict.fromkeys(ENVIRONMENTS, n_each)})
    return study.model_copy(update={"prompts": chosen})


def _ids(frame: pl.DataFrame) -> list[str]:
    return frame["prompt_id"].to_list()


def test_each_environment_has_what_the_study_asks_for(prompts: pl.DataFrame) -> None:
    study = catalog.study("quick")
    taken = prompt_selection.generation_tests(prompts, study)
    assert Counter(taken["environment"]) == study.prompts.test
    assert set(taken["role"]) == {"test"}


def test_a_larger_study_holds_a_smaller_one(prompts: pl.DataFrame) -> None:
    few, many = (_ids(prompt_selection.generation_tests(prompts, _study(n))) for n in (9, 25))
    assert len(few) == 36
    assert set(few) < set(many)


@pytest.mark.parametrize("n", [1, 4, 10, 303])
def test_a_single_number_is_spread_evenly(prompts: pl.DataFrame, n: int) -> None:
    tests = prompt_selection.all_tests(prompts)
    taken = prompt_selection.spread_over_environments(tests, n)
    counts = [taken["environment"].to_list().count(environment) for environment in ENVIRONMENTS]
    assert len(taken) == n
    assert max(counts) - min(counts) <= 1
    assert _ids(taken) == _ids(prompt_selection.spread_over_environments(tests, n + 1))[:n]


def test_null_spaces_are_measured_on_all_test_prompts_or_on_as_many_as_asked(
    prompts: pl.DataFrame,
) -> None:
    study = catalog.study("standard")
    few = study.prompts.model_copy(update={"neutral": 10})
    taken = prompt_selection.neutral_tests(prompts, study.model_copy(update={"prompts": few}))
    every = prompt_selection.all_tests(prompts)
    assert _ids(taken) == _ids(prompt_selection.spread_over_environments(every, 10))
    assert _ids(prompt_selection.neutral_tests(prompts, study)) == _ids(every)


def test_pairs_are_the_first_ones_and_in_distribution(prompts: pl.DataFrame) -> None:
    pairs = prompt_selection.contrast_pairs(prompts, catalog.study("standard"))
    assert set(pairs["environment"]) == {"in_distribution"}
    assert pairs["pair_id"].n_unique() == catalog.study("standard").prompts.contrast_pairs
