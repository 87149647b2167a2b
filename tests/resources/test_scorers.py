"""Scorers of the catalog: complete for their traits, and absent where their model is."""

import logging
import os
import shutil
from pathlib import Path

import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.catalog.errors import UnknownNameError
from steer_assets.catalog.scorer_entries import ScorerEntry
from steer_assets.definitions import defs  # noqa: F401 - registers the stages
from steer_assets.paths import PACKAGE
from steer_assets.resources import scorer_heads, scorers
from steer_assets.scoring.embedded import anchors, encoder
from steer_assets.scoring.scorer import ScorerUnavailable
from steer_assets.storage.layout import Layout

PUBLISHED = {
    "twitter-roberta-sentiment": "cardiffnlp/twitter-roberta-base-sentiment-latest",
    "roberta-formality": "s-nlp/roberta-base-formality-ranker",
    "bart-mnli": "facebook/bart-large-mnli",
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def test_the_published_three_are_in_the_catalog() -> None:
    for name, model_id in PUBLISHED.items():
        assert catalog.scorer_entry(name).model_id == model_id


def test_a_hub_scorer_that_may_change_under_its_name_is_named(
    layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    class Kind:
        name = "x"

    drifting = {name for name in PUBLISHED if catalog.scorer_entry(name).drifts}
    assert drifting == {"roberta-formality"}
    log = logging.getLogger("test")
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(scorers, "_made", lambda *_: Kind())
        scorers.available(("bart-mnli", "roberta-formality"), "formality", layout, log)
    assert "roberta-base-formality-ranker is not pinned to a commit" in caplog.text
    assert "bart" not in caplog.text


def test_other_weights_in_the_folder_of_a_scorer_are_another_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("first")
    entry = ScorerEntry(scorer="own", title="own", kind="hf_classifier", model_id=str(folder))
    monkeypatch.setattr(catalog, "scorer_entry", lambda _: entry)
    before = scorers._versions("own", "sentiment")
    assert scorers._versions("own", "sentiment") == before
    (folder / "model.safetensors").write_text("other")
    os.utime(folder / "model.safetensors", (1, 1))
    assert scorers._versions("own", "sentiment") != before


@pytest.mark.parametrize("stage", ["classifier_scores", "scorer_validation"])
@pytest.mark.parametrize("changed", ["encoder", "anchors", "code"])
def test_other_weights_anchors_or_code_make_scores_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, changed: str
) -> None:
    """On changed files, through the inputs that the stages declare."""
    shutil.copytree(encoder.package_folder(), tmp_path / "model")
    shutil.copytree(PACKAGE / "scoring", tmp_path / "scoring")
    monkeypatch.setattr(encoder, "package_folder", lambda: tmp_path / "model")
    monkeypatch.setattr(scorer_heads, "PACKAGE", tmp_path)
    study, key = catalog.study("quick"), {"model": "m", "trait": "sentiment"}

    def inputs() -> dict[str, str]:
        scorer_heads.scoring_code.cache_clear()
        found = STAGES[stage].outside_inputs(key, study)
        return {one.partition: one.data_version for one in found}

    before = inputs()
    assert inputs() == before
    (tmp_path / "scoring" / "embedded" / "heads.py").open("a").write("\n# a comment\n")
    assert inputs() == before
    if changed == "encoder":
        path = tmp_path / "model" / "model.safetensors"
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        name = "encoder"
    elif changed == "anchors":
        other = {**anchors.ANCHORS, "sentiment": anchors.Anchors(("good",), ("bad",))}
        monkeypatch.setattr(anchors, "ANCHORS", other)
        name = "anchors/sentiment"
    else:
        (tmp_path / "scoring" / "embedded" / "heads.py").open("a").write("\nANOTHER = 1\n")
        name = "code/scoring"
    after = inputs()
    scorer_heads.scoring_code.cache_clear()
    assert {part for part in before if before[part] != after[part]} == {name}


def test_every_entry_is_complete_for_every_trait_it_names() -> None:
    for name in catalog.keys("scorers"):
        entry = catalog.scorer_entry(name)
        for trait in catalog.trait_keys():
            if entry.use(trait) is not None:
                assert scorers.spec(entry, trait).name == name


def test_every_trait_has_a_published_scorer() -> None:
    for trait in catalog.trait_keys():
        assert any(catalog.scorer_entry(name).use(trait) for name in PUBLISHED), trait


def test_the_formality_map_does_not_read_signs_off_names() -> None:
    use = catalog.scorer_entry("roberta-formality").use("formality")
    assert use is not None
    assert use.label_map["formal"] > 0 > use.label_map["informal"]


def test_studies_name_scorers_that_exist() -> None:
    for name in catalog.keys("studies"):
        for scorer in catalog.study(name).scoring.scorers:
            catalog.scorer_entry(scorer)


def test_a_scorer_of_another_trait_is_left_out_and_named(
    layout: Layout,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Kind:
        name = "minilm"

    log = logging.getLogger("test")
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(scorers, "_made", _made_if_known(Kind()))
        found = scorers.available(("minilm", "roberta-formality"), "sentiment", layout, log)
    assert [one.name for one in found] == ["minilm"]
    assert "roberta-formality does not score sentiment" in caplog.text


def _made_if_known(known: object):
    def made(name: str, trait: str, folder: Path, version: str) -> object:
        if name == "minilm":
            return known
        return scorers.spec(catalog.scorer_entry(name), trait)

    return made


def test_no_scorer_at_all_is_said(layout: Layout, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("test")
    assert not scorers.available(("roberta-formality",), "sentiment", layout, log)
    assert "roberta-formality does not score sentiment" in caplog.text


def test_without_labelled_texts_no_scorer_is_fitted_or_trusted(
    layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    names, log = ("minilm", "bart-mnli", "lm-judge"), logging.getLogger("test")
    assert not scorers.available(names, "brevity", layout, log)
    assert "'brevity' has no labelled texts" in caplog.text


def test_labelled_texts_that_come_later_are_another_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path))
    key, study = {"model": "m", "trait": "brevity"}, catalog.study("quick")
    before = scorers.sources(key, study)
    path = catalog.user_catalog() / "labelled" / "brevity.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert scorers.sources(key, study) != before
    assert set(scorers.sources(key, study)) == set(before)


def test_a_judge_needs_a_model_to_ask(layout: Layout) -> None:
    with pytest.raises(ScorerUnavailable, match="asks a language model"):
        scorers.scorer("lm-judge", "sentiment", layout)
    assert scorers.judges(("minilm", "lm-judge")) == ("lm-judge",)


def test_an_unknown_scorer_gets_the_nearest_names(layout: Layout) -> None:
    with pytest.raises(UnknownNameError, match="minilm"):
        scorers.scorer("minlm", "sentiment", layout)
