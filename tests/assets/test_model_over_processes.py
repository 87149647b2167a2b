"""A study whose model is held by two processes has the texts and verdicts of one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steer_assets.automation.runner import materialise
from steer_assets.catalog import catalog
from steer_assets.lm.tensor_parallel import ranks
from steer_assets.storage.files.parquet import read_part
from tests.finished import one_thread, records_in_memory
from tests.tiny import (
    MODEL,
    STUDY,
    STUDY_TEXT,
    few_figures,
    living_in,
    make_world,
    write_model,
    write_scorer,
)

TRAIT = "formality"
TOLERANCE = 1e-4
#: Columns of text that do not depend on when and where a run was made.
WORDS = ("text", "verdict", "reason", "sentence", "conclusion", "vector_id")


def _made(root: Path, numerics: str) -> dict[str, pl.DataFrame]:
    """Every table of a study of one model and trait."""
    source, scorer = write_model(root / "source"), write_scorer(root / "scorer")
    world = make_world(root / "world", source=source, scorer=scorer)
    tables = world.layout.root / "tables"
    study = world.layout.root / "catalog" / "studies" / f"{STUDY}.yaml"
    study.write_text(f"{STUDY_TEXT}numerics: {numerics}\n")
    with living_in(world), few_figures(), one_thread(), records_in_memory():
        materialise(world.layout, [MODEL], [TRAIT], catalog.study(STUDY))
    return {str(p.relative_to(tables)): read_part(p) for p in sorted(tables.rglob("part.parquet"))}


@pytest.mark.faults
def test_a_study_over_two_processes_has_the_texts_and_verdicts_of_one(tmp_path: Path) -> None:
    one = _made(tmp_path / "one", "{tensor_parallel: 1}")
    assert not ranks._leaders
    try:
        two = _made(tmp_path / "two", "{tensor_parallel: 2}")
        assert [leader.n for leader in ranks._leaders] == [2]
    finally:
        while ranks._leaders:
            ranks._leaders.pop().end()
    assert one.keys() == two.keys()
    compared = set()
    for name, expected in one.items():
        found = two[name]
        assert len(expected) == len(found), name
        for column in expected.columns:
            a, b = expected[column], found[column]
            if column in WORDS:
                assert a.equals(b), (name, column)
                compared.add(column)
            if a.dtype.is_float():
                assert (a.is_null() == b.is_null()).all(), (name, column)
                x, y = a.drop_nulls().to_numpy(), b.drop_nulls().to_numpy()
                off, size = np.abs(x - y).max(initial=0.0), np.abs(x).max(initial=1e-2)
                assert off <= TOLERANCE * size, (name, column, off)
    assert {"text", "verdict", "reason"} <= compared
