"""An imported copy of v has exactly the results of v, from texts to tests."""

from __future__ import annotations

import polars as pl
import pytest

from steer_assets.storage.files.parquet import read_part
from tests.finished import BASE, COPY, KEY
from tests.tiny import World

pytestmark = pytest.mark.slow

#: What a row is called; and what belongs to a family of hypotheses (v's own effect is the primary
#: one) and not to a vector.
NAMES = ("generation_id", "vector_id", "family", "run_id")
BY_FAMILY = (
    "p_difference_adjusted", "p_equivalence_adjusted", "power", "n_prompts_needed", "verdict",
    "reason",
)  # fmt: skip


def rows(world: World, table: str, vector_id: str) -> pl.DataFrame:
    """All that a table has of one vector against unsteered texts, without its names."""
    frame = read_part(world.layout.part(table, KEY))
    if table in ("classifier_scores", "fluency"):
        texts = read_part(world.layout.part("generations", KEY))
        keys = texts.select(
            "generation_id", "protocol", "vector_id", "alpha", "prompt_id", "sample"
        )
        frame = frame.join(keys, on="generation_id")
    if "protocol" in frame.columns:
        frame = frame.filter(protocol="controlled")
    if "reference_id" in frame.columns:
        frame = frame.filter(reference_id="none")
    own = frame.filter(vector_id=vector_id)
    return own.drop(*NAMES, *BY_FAMILY, strict=False).sort(pl.all())


def test_a_copy_has_the_results_of_v_to_the_digit(original: World) -> None:
    for table in (
        "steering_vectors",
        "logit_distances",
        "dose_response",
        "equivalence_radius",
        "generations",
        "classifier_scores",
        "fluency",
        "equivalence_tests",
    ):
        base, copy = (rows(original, table, name) for name in (BASE, COPY))
        assert len(base), table
        assert copy.equals(base), table


def test_a_copy_does_not_differ_from_v_at_all(original: World) -> None:
    tests = read_part(original.layout.part("equivalence_tests", KEY))
    against = tests.filter(vector_id=COPY, reference_id=BASE)
    assert len(against)
    for column in ("effect", "cohens_d", "ci_low", "ci_high"):
        assert (against[column] == 0).all(), column
    assert (against["p_difference"] == 1).all()
