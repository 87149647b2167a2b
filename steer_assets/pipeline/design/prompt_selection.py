"""Selection of a study's prompts, in catalog order, and their token ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.catalog.traits import ENVIRONMENTS

if TYPE_CHECKING:
    from steer_assets.lm.chat import Encoder
    from steer_assets.lm.prompts import Prompt


def encoded(
    model: Encoder, prompts: pl.DataFrame, *, chat_template: bool = True
) -> list[list[int]]:
    """Token ids of rows of `prompt_sets`; turns go through the chat template, raw texts do not."""
    from steer_assets.lm.prompts import encode_prompts

    return encode_prompts(model, _forms(prompts), chat_template=chat_template)


def inside_thinking(
    model: Encoder, prompts: pl.DataFrame, *, chat_template: bool = True
) -> list[bool]:
    """Whether each row of `prompt_sets` ends inside a section of thinking."""
    from steer_assets.lm import prompts as forms

    return [
        forms.inside_thinking(model, form, chat_template=chat_template) for form in _forms(prompts)
    ]


def _forms(prompts: pl.DataFrame) -> list[Prompt]:
    from steer_assets.lm.prompts import Prompt

    return [
        Prompt(text, tuple((t["role"], t["content"]) for t in json.loads(turns or "[]")), raw)
        for text, turns, raw in prompts.select("text", "turns", "raw").iter_rows()
    ]


def contrast_pairs(prompts: pl.DataFrame, study: Study, role: str = "contrast") -> pl.DataFrame:
    """Both prompts of the first pairs, pair by pair, positive pole first."""
    rows = prompts.filter(pl.col("role") == role)
    chosen = rows["pair_id"].unique(maintain_order=True).head(study.prompts.contrast_pairs)
    return rows.filter(pl.col("pair_id").is_in(chosen.to_list()))


def all_tests(prompts: pl.DataFrame) -> pl.DataFrame:
    """Every test prompt."""
    return prompts.filter(pl.col("role") == "test")


def neutral_tests(prompts: pl.DataFrame, study: Study) -> pl.DataFrame:
    """The test prompts that null spaces are measured on."""
    tests = all_tests(prompts)
    most = study.prompts.neutral
    return tests if most is None else spread_over_environments(tests, most)


def generation_tests(prompts: pl.DataFrame, study: Study) -> pl.DataFrame:
    """The test prompts that texts are generated from."""
    tests = all_tests(prompts)
    parts = [
        tests.filter(pl.col("environment") == environment).head(study.prompts.test[environment])
        for environment in ENVIRONMENTS
    ]
    return pl.concat(parts)


def calibration_tests(prompts: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Test prompts that no text of a verdict is generated from, environments taking turns.

    At most `calibration.prompts` of them. What is chosen on them is judged on others.
    """
    taken = generation_tests(prompts, study)["prompt_id"].to_list()
    left = all_tests(prompts).filter(~pl.col("prompt_id").is_in(taken))
    return spread_over_environments(left, study.calibration.prompts)


def spread_over_environments(tests: pl.DataFrame, n: int) -> pl.DataFrame:
    """The first `n` test prompts in round-robin order over environments."""
    turn = pl.int_range(pl.len()).over("environment")
    order = pl.col("environment").replace_strict(
        {name: i for i, name in enumerate(ENVIRONMENTS)}, return_dtype=pl.Int32
    )
    return (
        tests.with_columns(turn.alias("_turn"), order.alias("_order"))
        .sort("_turn", "_order")
        .head(n)
        .drop("_turn", "_order")
    )


def protocol_tests(prompts: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Test prompts for protocols with switches: the first ones of each environment."""
    assert study.protocol_texts is not None
    tests = all_tests(prompts)
    parts = [
        tests.filter(pl.col("environment") == environment).head(
            study.protocol_texts.prompts[environment]
        )
        for environment in ENVIRONMENTS
    ]
    return pl.concat(parts)
