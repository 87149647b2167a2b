"""What a page says of sections of thinking: texts that lack the scored part are counted."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from steer_assets.reporting import thinking_text
from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.pages.samples import side_by_side

from . import synthetic

_STATES = ["closed", "closed", "open", "none"]


@pytest.fixture(scope="module")
def plain() -> Evidence:
    return synthetic.build_evidence()


def _thinking(plain: Evidence, scored: str) -> Evidence:
    """Of four texts, two close their section and one of these is followed by an answer."""
    ids = plain.table("generations")["generation_id"]
    n = len(ids) // 4 * 4
    rows = [
        {
            "generation_id": name,
            "section": _STATES[row % 4],
            "answer": f"yes {row}" if row % 4 in (0, 3) else None,
            "reason": ["", "nothing follows", "never closes", ""][row % 4],
        }
        for row, name in enumerate(ids.head(n))
    ]
    frame = synthetic.table("thinking_sections", rows).with_columns(
        pl.Series("answer", [row["answer"] for row in rows])
    )
    study = {**plain.study, "thinking": {"enable": True, "scored": scored}}
    tables = {**plain.tables, "thinking_sections": frame}
    return dataclasses.replace(plain, study=study, tables=tables)


def test_texts_without_an_answer_are_counted_with_their_reasons(plain: Evidence) -> None:
    evidence = _thinking(plain, "after_thinking")
    n = evidence.table("thinking_sections").height
    (said,) = thinking_text.unscored(evidence)
    assert said.startswith(f"{n // 2} of {n} texts have no answer: ")
    assert f"never closes ({n // 4})" in said
    assert f"nothing follows ({n // 4})" in said
    assert "unsteered " in said
    fact = thinking_text.fact(evidence)
    assert fact.startswith("on; scorers read the answer after the section of thinking; ")
    assert f"{3 * n // 4} of {n} texts have such a section, and {n // 4}" in fact


def test_texts_without_a_section_are_counted_where_it_is_scored(plain: Evidence) -> None:
    evidence = _thinking(plain, "thinking")
    n = evidence.table("thinking_sections").height
    (said,) = thinking_text.unscored(evidence)
    assert said.startswith(f"{n // 4} of {n} texts have no section: none is written")


def test_where_all_of_a_text_is_scored_or_there_is_no_section_nothing_is_lacking(
    plain: Evidence,
) -> None:
    assert not thinking_text.unscored(_thinking(plain, "whole"))
    assert not thinking_text.unscored(plain)
    assert not thinking_text.fact(plain)


def test_answers_are_shown_or_why_there_is_none(plain: Evidence) -> None:
    shown = [
        text.text
        for sample in side_by_side(_thinking(plain, "after_thinking"))
        for _, text in sample.arms
        if text is not None
    ]
    assert shown
    assert all(text.startswith(("yes ", "[no answer: n")) for text in shown)
