"""What chat templates are given are settings, and inputs of only those results that they change."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from steer_assets.assets import STAGES
from steer_assets.catalog import catalog
from steer_assets.catalog.sections.text_sections import Thinking
from steer_assets.catalog.studies import Study
from steer_assets.lm import opened, thinking
from steer_assets.lm.chat import DEFAULT_DATE
from steer_assets.lm.opened import Opening
from steer_assets.lm.thinking import Markup
from steer_assets.pipeline import freshness
from steer_assets.resources.language_models import LanguageModels
from steer_assets.storage.layout import Layout
from tests.tiny import write_model

KEY = {"model": "m", "trait": "sentiment"}
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"
DATED = "{{ strftime_now('%d %b %Y') }} " + TEMPLATE
TOMORROW = datetime.date(2026, 1, 2)


def _study(date: datetime.date) -> Study:
    study = catalog.study("quick")
    return study.model_copy(update={"prompts": study.prompts.model_copy(update={"date": date})})


def _inputs(layout: Layout, stage: str, date: datetime.date) -> set[object]:
    return set(freshness.expected_inputs(layout, STAGES[stage], KEY, _study(date)))


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("STEER_DATA_DIR", str(tmp_path))
    found = Layout(tmp_path.resolve())
    found.model("m").mkdir(parents=True)
    return found


def test_a_study_that_says_nothing_has_the_date_of_the_library() -> None:
    assert catalog.study("quick").prompts.date == DEFAULT_DATE


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer_config.json"])
@pytest.mark.parametrize("stage", ["activation_caches", "generations", "logit_distances"])
def test_another_date_makes_stale_what_a_dated_template_wrote(
    layout: Layout, stage: str, name: str
) -> None:
    (layout.model("m") / name).write_text(DATED)
    assert _inputs(layout, stage, DEFAULT_DATE) != _inputs(layout, stage, TOMORROW)


def test_a_template_without_a_date_is_fresh_on_any(layout: Layout) -> None:
    (layout.model("m") / "chat_template.jinja").write_text(TEMPLATE)
    for stage in STAGES.values():
        if stage.dimensions == ("model", "trait"):
            assert _inputs(layout, stage.name, DEFAULT_DATE) == _inputs(
                layout, stage.name, TOMORROW
            )


_THINKS = "{% if enable_thinking %}<think>{% endif %}</think>" + TEMPLATE
_READERS = {"classifier_scores", "fluency", "steering_calibration", "equivalence_reports"}


def _stale(layout: Layout, one_look: bool = True, **changed: object) -> set[str]:
    """Stages of a model and trait with other inputs under changed settings of thinking."""
    plain = catalog.study("quick")
    if one_look:
        looks = plain.generation.model_copy(update={"looks": (1.0,)})
        plain = plain.model_copy(update={"generation": looks})
    other = plain.model_copy(update={"thinking": Thinking.model_validate(changed)})
    return {
        stage.name
        for stage in STAGES.values()
        if stage.dimensions == ("model", "trait")
        and set(freshness.expected_inputs(layout, stage, KEY, plain))
        != set(freshness.expected_inputs(layout, stage, KEY, other))
    }


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer.json"])
def test_whether_a_model_thinks_makes_stale_what_it_reads_and_writes(
    layout: Layout, name: str
) -> None:
    (layout.model("m") / name).write_text(_THINKS)
    assert {"activation_caches", "generations", "logit_distances"} <= _stale(layout, enable=False)
    assert _stale(layout, scored="whole") == _READERS
    assert _stale(layout, one_look=False, scored="whole") == {*_READERS, "generations"}


def test_a_model_that_does_not_think_is_fresh_whatever_is_asked(layout: Layout) -> None:
    (layout.model("m") / "chat_template.jinja").write_text(TEMPLATE)
    assert not _stale(layout, enable=False, scored="thinking")


def test_declared_markup_is_an_input(layout: Layout) -> None:
    before = _inputs(layout, "generations", DEFAULT_DATE)
    thinking.write(layout.model("m"), Markup("(", ")"))
    assert before < (first := _inputs(layout, "generations", DEFAULT_DATE))
    thinking.write(layout.model("m"), Markup("[", "]"))
    assert first != _inputs(layout, "generations", DEFAULT_DATE)


def test_a_loaded_model_is_not_used_for_another_template_or_date(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    models, shown = LanguageModels(), []

    def show(tokenizer_sha256: str, date: datetime.date) -> str:
        lm = models.load(Opening(folder, ("weights", tokenizer_sha256), date, "cpu", "float32"))
        shown.append(lm)
        return lm.decode(lm.encode(["Why?"])[0])

    opened._open.clear()
    (folder / "chat_template.jinja").write_text(DATED)
    assert show("dated", DEFAULT_DATE) == "01 Jan 2026 Why?"
    assert show("dated", TOMORROW) == "02 Jan 2026 Why?"
    (folder / "chat_template.jinja").write_text("Hello. " + TEMPLATE)
    assert show("plain", TOMORROW) == "Hello. Why?"
    assert show("plain", TOMORROW) == "Hello. Why?"
    assert shown[2] is shown[3]
    opened._open.clear()
