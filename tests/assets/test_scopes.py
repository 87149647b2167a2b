"""Scopes of a study: every stage adds vectors where the study says, or says why it does not."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog.studies import Study
from steer_assets.checks import texts, vectors  # noqa: F401 - registers the checks
from steer_assets.checks.harness import LOOKS, Finding
from steer_assets.pipeline.design import scopes
from steer_assets.storage.layout import Layout
from tests.assets.conftest import LAYER, Tiny

BASE = f"L{LAYER}.base"


def _study(study: Study, scope: object) -> Study:
    value = study.model_dump(mode="json")
    value |= {"protocols": [{"name": "controlled"}], "protocol_texts": None}
    value["prompts"]["test"] = {
        "in_distribution": 5, "topic_shift": 0, "genre_shift": 0, "safety_style": 0
    }  # fmt: skip
    value["behaviour"] = {"prompts": 2, "steered_alpha": 1.0}
    value["logits"] = {"prompts": 5, "alphas": [1.0]}
    value["dose"] = {"prompts": 2, "relative_steps": [1e-3, 0.1], "multiples": [1.0]}
    arms = [{"families": ["base", "base_plus_orthogonal"], "alphas": [1.0]}]
    value["generation"] |= {
        "temperature": 1.0,
        "samples": 2,
        "looks": [1.0],
        "arms": arms,
        "scope": scope,
    }
    return Study.model_validate(value)


@pytest.fixture
def scoped(tiny: Tiny, tmp_path: Path, request: pytest.FixtureRequest) -> Tiny:
    root = Path(shutil.copytree(tiny.layout.root, tmp_path / "data"))
    return dataclasses.replace(tiny, layout=Layout(root), study=_study(tiny.study, request.param))


def _checked(world: Tiny, stage: str, name: str) -> Finding:
    return LOOKS[stage, name](world.run(stage))


@pytest.mark.parametrize("scoped", ["all_prompt_and_generated"], indirect=True)
def test_the_whole_prompt_is_edited_at_every_stage(scoped: Tiny) -> None:
    """One token of texts is the next token, measured by another way; short steps are predicted."""
    before = scoped.rows("behavioral_spectra").filter(kind="fisher", at="unsteered")
    for stage in ("behavioral_spectra", "logit_distances", "generations", "text_divergences"):
        scoped.make(stage)
    first = scoped.rows("text_divergences").filter(environment="pooled", n_tokens=1)
    distances = scoped.rows("logit_distances")
    assert len(first) >= 3
    for row in first.iter_rows(named=True):
        own = distances.filter(vector_id=row["vector_id"], reference_id=row["reference_id"])
        assert row["kl"] == pytest.approx(own["kl"].mean(), rel=1e-4)
    short = scoped.rows("dose_response").filter(reference_id="none")
    short = short.filter(pl.col("step_norm") == pl.col("step_norm").min())
    np.testing.assert_allclose(short["predicted_kl"], short["kl"], rtol=0.05)
    assert _checked(scoped, "text_divergences", "texts_are_as_likely_as_when_sampled").passed
    after = scoped.rows("behavioral_spectra").filter(kind="fisher", at="unsteered")
    moved = (after["singular_value"][0], before["singular_value"][0])
    assert moved[0] != pytest.approx(moved[1], rel=0.05)


@pytest.mark.parametrize("scoped", [{"name": "first_k", "k": 2}], indirect=True)
def test_without_the_last_prompt_token_the_first_token_is_that_of_no_arm(scoped: Tiny) -> None:
    for stage in ("logit_distances", "steering_calibration", "generations", "text_divergences"):
        scoped.make(stage)
    made = scoped.rows("generations").sort("prompt_id", "sample")
    plain, *others = (rows for _, rows in made.group_by("vector_id", maintain_order=True))
    for rows in others:
        assert rows["token_ids"].list.first().equals(plain["token_ids"].list.first())
    assert made["text"].n_unique() > plain["text"].n_unique()
    assert _checked(scoped, "text_divergences", "texts_are_as_likely_as_when_sampled").passed
    first = scoped.rows("text_divergences").filter(environment="pooled", n_tokens=1)
    assert first["kl"].to_list() == [0.0] * len(first)
    for table in ("logit_distances", "dose_response", "equivalence_radius"):
        assert scoped.rows(table).is_empty()
    assert scoped.rows("steering_calibration").is_empty()
    found = _checked(scoped, "logit_distances", "distances_are_distances")
    assert found.passed
    assert "nothing to measure" in found.words
    assert _checked(scoped, "logit_distances", "doses_are_followed").passed


@pytest.mark.parametrize("scoped", ["after_thinking"], indirect=True)
def test_a_model_without_a_thinking_section_is_refused_in_a_sentence(scoped: Tiny) -> None:
    with pytest.raises(scopes.NoSectionError, match="tiny writes no thinking section: take"):
        scoped.make("generations")
    scoped.models.lm.section_end = (7, 8)
    try:
        found = scopes.scope_of(scoped.run("generations"), scoped.models.lm)
    finally:
        scoped.models.lm.section_end = ()
    assert found.section_end == (7, 8)


def test_the_usual_scope_is_no_new_input(tiny: Tiny) -> None:
    """What was made before the setting existed stays current; another scope makes all stale."""
    key = {"model": "tiny", "trait": "sentiment"}
    usual, other = (_study(tiny.study, name) for name in ("last_prompt_and_generated", "generated"))
    assert "scope" not in usual.settings(("generation",))["generation"]
    for name in (
        "behavioral_spectra", "logit_distances", "steering_calibration", "protocol_measures",
        "generations", "text_divergences", "text_fisher",
    ):  # fmt: skip
        stage = STAGES[name]
        inputs = [stage.outside_inputs(key, study) for study in (usual, other)]
        assert inputs[0] != inputs[1], name
        assert not any("scope" in str(one) for one in inputs[0])
