"""Turns in YAML traits: before a context, a question or an answer, and answers that are begun."""

import pytest

from steer_assets.catalog import trait_files
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts import writing

HEAD = """\
trait: patience
title: Patience
description: Patient or hasty.
poles: {positive: patient, negative: hasty}
test: {in_distribution: ["Why?", "How?"]}
contrast:
"""
TURNS = """\
    - - {role: user, content: Hi.}
      - {role: assistant, content: "Yes?"}
      - {role: user, content: Tea}
    - Rain
"""
TEMPLATES = f"""\
  positive_template: "Slowly: {{context}}"
  negative_template: "Quickly: {{context}}"
  contexts:
{TURNS}"""
PREFIXES = f"""\
  prefixes:
    - {{positive: Take your time, negative: Hurry}}
  questions:
{TURNS}"""
INSTRUCTIONS = PREFIXES.replace("prefixes", "instructions")
ANSWERS = """\
  answers:
    - question: [{role: system, content: Be.}, {role: user, content: Tea}]
      matching: (A)
      not_matching: (B)
    - {question: Rain, matching: "Yes", not_matching: "No"}
"""
_HI = (("user", "Hi."), ("assistant", "Yes?"))
SHOWN = {
    TEMPLATES: ((*_HI, ("user", "Slowly: Tea")), (*_HI, ("user", "Quickly: Tea"))),
    PREFIXES: (
        (*_HI, ("user", "Tea"), ("assistant", "Take your time")),
        (*_HI, ("user", "Tea"), ("assistant", "Hurry")),
    ),
    INSTRUCTIONS: (
        (("system", "Take your time"), *_HI, ("user", "Tea")),
        (("system", "Hurry"), *_HI, ("user", "Tea")),
    ),
    ANSWERS: (
        (("system", "Be."), ("user", "Tea"), ("assistant", "(A")),
        (("system", "Be."), ("user", "Tea"), ("assistant", "(B")),
    ),
}
NAMES = ["templates", "prefixes", "instructions", "answers"]


def _read(tmp_path, text):
    path = tmp_path / "patience.yaml"
    path.write_text(text)
    return trait_files.read(path, "patience")


@pytest.mark.parametrize("contrast", list(SHOWN), ids=NAMES)
def test_turns_of_a_contrast_are_those_of_its_prompts(tmp_path, contrast):
    trait = _read(tmp_path, HEAD + contrast)
    first = next(trait.contrast.prompts())
    shown = tuple(tuple((turn.role, turn.content) for turn in side) for side in first)
    assert shown == SHOWN[contrast]
    assert trait.n_pairs == 2


@pytest.mark.parametrize("contrast", list(SHOWN), ids=NAMES)
def test_what_is_written_is_what_was_read(tmp_path, contrast, monkeypatch):
    """As YAML, and as JSON lines where YAML would be too large."""
    trait = _read(tmp_path, HEAD + contrast)
    for most in (10**6, 10):
        monkeypatch.setattr(writing, "MOST_YAML", most)
        name, text = writing.file_of(trait)
        assert name.endswith("yaml" if most > 10 else "jsonl")
        (tmp_path / name).write_text(text)
        again = trait_files.read(tmp_path / name, "patience")
        assert list(again.pairs("contrast")) == list(trait.pairs("contrast"))
        assert list(again.tests()) == list(trait.tests())


@pytest.mark.parametrize(
    ("contrast", "said"),
    [
        (
            TEMPLATES.replace("      - {role: user, content: Tea}\n", ""),
            "contrast.contexts.0: expected turns that end with the user's",
        ),
        (
            INSTRUCTIONS.replace("- - {role: user, content: Hi.}", "- - {role: system, content: B}")
            .replace('      - {role: assistant, content: "Yes?"}\n', ""),
            "a question after an instruction has no system turn of its own",
        ),
        (ANSWERS.replace("      matching: (A)", "      system: Be\n      matching: (A)"),
         "give system, or a system turn in the question, only one"),
        (PREFIXES.replace("    - Rain\n", ""), "two pairs are needed"),
        (PREFIXES.replace("negative: Hurry", "negative: Take your time"), "are the same"),
    ],
    ids=["ends with an answer", "two systems", "system twice", "one pair", "same sides"],
)  # fmt: skip
def test_turns_that_do_not_fit_are_refused_by_field(tmp_path, contrast, said):
    with pytest.raises(CatalogError, match=said):
        _read(tmp_path, HEAD + contrast)
