"""Sections of thinking of generated texts, and the part of a text that scorers read.

A text whose section never closes has no answer. It has no score, instead of one for half a thought,
and a comparison leaves out its prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design import prompt_selection
from steer_assets.storage.schema import frame_of

if TYPE_CHECKING:
    from steer_assets.lm.model import LanguageModel
    from steer_assets.lm.thinking import Markup
    from steer_assets.pipeline.stage import StageRun

TABLE = "thinking_sections"
#: Columns of `read_part`.
READ, BEFORE = "read", "before"
NEVER_CLOSES = "its section of thinking never closes"
NOTHING_FOLLOWS = "nothing follows its section of thinking"


def sections(
    model: LanguageModel, prompts: pl.DataFrame, texts: pl.DataFrame, *, chat_template: bool = True
) -> pl.DataFrame:
    """Rows of `thinking_sections` of texts; none for a model without such sections.

    prompts: rows of `prompt_sets`, of the texts. texts: rows of `generations`, all of which were
    made with the chat template or without it.
    """
    markup = model.markup
    if markup is None:
        return frame_of(TABLE, [])
    inside = prompt_selection.inside_thinking(model, prompts, chat_template=chat_template)
    found = dict(zip(prompts["prompt_id"], inside, strict=True))
    columns = texts.select("generation_id", "prompt_id", "token_ids")
    return frame_of(
        TABLE,
        [
            {"generation_id": name, **of_text(model, markup, ids, inside=found[prompt_id])}
            for name, prompt_id, ids in columns.iter_rows()
        ],
    )


def of_text(
    model: LanguageModel, markup: Markup, ids: list[int], *, inside: bool
) -> dict[str, object]:
    """Section, its tokens and text, the answer, and why there is none."""
    from steer_assets.lm.thinking import section

    found = section(model.tokenizer, markup, ids, inside=inside)
    n = found.n_tokens
    # Special tokens are no part of the text; markup of ordinary ones is left out by its words.
    thinking = model.decode(ids[:n])
    for side in (markup.opening, markup.closing):
        thinking = thinking.replace(side, "")
    answer = model.decode(ids[n:])
    answer = answer.strip() if n else answer
    reason = NEVER_CLOSES if found.state == "open" else ""
    if found.state == "closed" and not answer:
        reason = NOTHING_FOLLOWS
    return {
        "section": found.state,
        "n_thinking_tokens": n,
        "thinking": thinking.strip(),
        "answer": None if reason else answer,
        "reason": reason,
    }


def read_part(texts: pl.DataFrame, found: pl.DataFrame, study: Study) -> pl.DataFrame:
    """Texts with `read`, what the study has scorers read of each, and `before`, tokens before it.

    `read` is null where a text has no such part.
    found: rows of `thinking_sections` of the texts.
    """
    scored = study.thinking.scored
    if found.is_empty() or scored == "whole":
        return texts.with_columns(pl.col("text").alias(READ), pl.lit(0).alias(BEFORE))
    thinking = pl.when(pl.col("section") != "none").then("thinking")
    answers = scored == "after_thinking"
    part = pl.col("answer") if answers else thinking
    before = pl.col("n_thinking_tokens") if answers else pl.lit(0)
    own = found.select("generation_id", part.alias(READ), before.alias(BEFORE))
    return texts.join(own, on="generation_id", how="left", maintain_order="left")


@dataclass(frozen=True, slots=True)
class Part:
    """What is read of a text, and the number of its tokens before that."""

    read: str
    n_before: int


def part_of(
    model: LanguageModel, ids: list[int], text: str, study: Study, *, inside: bool
) -> Part | None:
    """What the study has scorers read of one text; None where there is no such part.

    inside: whether its prompt ends inside a section of thinking.
    """
    if model.markup is None:
        return Part(text, 0)
    name = {"generation_id": ""}
    found = frame_of(TABLE, [{**name, **of_text(model, model.markup, ids, inside=inside)}])
    texts = pl.DataFrame([{**name, "text": text}])
    read, before = read_part(texts, found, study).select(READ, BEFORE).row(0)
    return None if read is None else Part(read, before)


def stored_sections(run: StageRun) -> pl.DataFrame:
    """Rows of `thinking_sections`; none of texts that were made before there were any."""
    if not run.layout.part(TABLE, dict(run.key)).exists():
        return frame_of(TABLE, [])
    return run.rows(TABLE)


def with_read(run: StageRun, texts: pl.DataFrame) -> pl.DataFrame:
    """Stored texts with the columns of `read_part`."""
    return read_part(texts, stored_sections(run), run.study)


def counted(found: pl.DataFrame) -> dict[str, int]:
    """Texts by what became of their section; empty for a model without sections."""
    if found.is_empty():
        return {}
    states = found["section"].to_list()
    without = found.filter(pl.col("reason") != "")
    return {
        "texts with a section of thinking": len(states) - states.count("none"),
        "sections that never close": states.count("open"),
        "texts without an answer": len(without),
    }


def unread(texts: pl.DataFrame) -> str:
    """Why none of the texts with `read` can be scored, in a sentence; empty where one can."""
    if texts.is_empty() or texts[READ].null_count() < len(texts):
        return ""
    return (
        f"none of {len(texts)} texts has the part that is scored (thinking.scored): raise "
        "generation.max_new_tokens, so that sections of thinking close, or set thinking.enable to "
        "false"
    )
