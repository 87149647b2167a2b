"""Checks before the first stage whether a model supports a study.

The number type is checked against the self-test of the snapshot; the number of processes against
the plan by which the model is divided; the context length against the prompts and new tokens, and
the scope against the texts' sections, by the model's tokenizer and chat template, without loading
weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from steer_assets.catalog import catalog
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design import prompt_selection, scopes
from steer_assets.resources import scorer_heads, scorers
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.files.parquet import read_part
from steer_assets.storage.layout import Layout, PartitionKey

if TYPE_CHECKING:
    from steer_assets.lm.chat import Encoder

#: Cached answers by their inputs, since every stage repeats the check.
_given: dict[str, str | None] = {}


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """Tokens of the longest prompt of a kind, and the tokens that follow it."""

    prompt: int
    new: int
    what: str

    @property
    def total(self) -> int:
        """Number of positions needed."""
        return self.prompt + self.new


def refusal(layout: Layout, key: PartitionKey, study: Study) -> str | None:
    """A sentence that says why the model does not support the study; None if it does.

    Needs `models` and `prompt_sets` of the pair.
    """
    facts = read_part(layout.part("models", {"model": key["model"]})).row(0, named=True)
    if refused := dtype_refusal(facts, study.numerics.dtype):
        return refused
    prompts = read_part(layout.part("prompt_sets", {"trait": key["trait"]}))
    identity = hash_json(
        [
            [facts["sha256"], facts["tokenizer_sha256"], key, prompts["sha256"].to_list()],
            study.model_dump(mode="json"),
            scorers.sources(key, study) if scorers.judges(study.scoring.scorers) else {},
        ]
    )
    if identity not in _given:
        refused = _division_refusal(layout, key, study)
        _given[identity] = refused or _context_refusal(layout, key, study, prompts)
    return _given[identity]


def dtype_refusal(facts: Mapping[str, object], dtype: str) -> str | None:
    """Why the model with the row ``facts`` of `models` cannot run in ``dtype``; None if it can."""
    finite = str(facts["finite_dtypes"]).split(",")
    if dtype in finite:
        return None
    return (
        f"{facts['model']} gives values that are not finite in {dtype}; set numerics.dtype of the "
        f"study to {' or '.join(finite)}"
    )


def _division_refusal(layout: Layout, key: PartitionKey, study: Study) -> str | None:
    n = study.numerics.tensor_parallel
    if n == 1:
        return None
    from steer_assets.lm.errors import LanguageModelError
    from steer_assets.lm.loading import divided

    try:
        divided.plan_of(layout.model(key["model"]), n)
    except LanguageModelError as error:
        return str(error)
    return None


def _context_refusal(
    layout: Layout, key: PartitionKey, study: Study, prompts: pl.DataFrame
) -> str | None:
    from steer_assets.lm import context

    folder = layout.model(key["model"])
    room = context.positions_of(folder)
    scoped = study.generation.scope.name == "after_thinking"
    if room is None and not scoped:
        return None
    encoder = context.encoder_of(folder, study.prompts.date, enable_thinking=study.thinking.asked)
    if missing := scopes.section_missing(key["model"], encoder, study):
        return missing
    if room is None:
        return None
    most = max(_needs(encoder, study, prompts, key["trait"]), key=lambda need: need.total)
    if most.total <= room:
        return None
    new = f" and {most.new} new ones (generation.max_new_tokens)" if most.new else ""
    return (
        f"{key['model']} has {room} positions, and {key['trait']} needs {most.total}: "
        f"{most.prompt} tokens of the longest {most.what}{new}; take a model with a longer "
        "context, or shorter prompts and texts"
    )


def _needs(encoder: Encoder, study: Study, prompts: pl.DataFrame, trait: str) -> Iterator[Need]:
    tests = prompt_selection.generation_tests(prompts, study)
    read = pl.concat(
        [
            prompt_selection.contrast_pairs(prompts, study),
            prompt_selection.contrast_pairs(prompts, study, role="control"),
            prompt_selection.neutral_tests(prompts, study),
        ]
    )
    new = study.generation.max_new_tokens
    yield Need(_longest(prompt_selection.encoded(encoder, tests)), new, "test prompt")
    yield Need(_longest(prompt_selection.encoded(encoder, read)), 0, "prompt")
    for name in scorers.judges(study.scoring.scorers):
        yield from _judge_needs(encoder, study, tests, trait, name)


def _judge_needs(
    encoder: Encoder, study: Study, tests: pl.DataFrame, trait: str, name: str
) -> Iterator[Need]:
    """Token needs of a scorer that prompts the model, on generated and on validation texts."""
    from steer_assets.scoring.labelled import validation_texts
    from steer_assets.scoring.lm_judge import PLACEHOLDER

    use = catalog.scorer_entry(name).use(trait)
    questions = [text for text in (use.positive, use.negative) if text] if use else []
    labelled = validation_texts(scorer_heads.labelled_texts(trait)) if questions else []
    # Protocols with switches also score prompt and text together.
    before = tests["text"].to_list() if study.switched_protocols else []
    for question in questions:
        asked = [question.replace(PLACEHOLDER, text) for text in ("", *before)]
        new = study.generation.max_new_tokens
        yield Need(_longest(encoder.encode_questions(asked)), new, f"question of {name}")
        known = [question.replace(PLACEHOLDER, text.text) for text in labelled]
        yield Need(_longest(encoder.encode_questions(known)), 0, f"question of {name}")


def _longest(ids: list[Any]) -> int:
    return max(map(len, ids), default=0)
