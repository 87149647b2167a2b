"""Statements with a label: pairs said by the assistant, and tests on those that are held out."""

import json

import pytest

from steer_assets.catalog import trait_files
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts.statements import REQUEST

LABELS = {"1": "0", "true": "False", "Yes": "no", "positive": "negative", "1.0": "0.0"}
SAID = [f"Fact {n} is so." for n in "abcdefgh"]


def _reading(path, rows, head="statement,label"):
    path.write_text("\n".join([head, *(f"{said},{label}" for said, label in rows)]) + "\n")
    return trait_files.reading(path, path.stem)


def _pairs(trait):
    return [tuple(side[-1].content for side in pair) for pair in trait.contrast.prompts()]


@pytest.mark.parametrize("yes", LABELS)
def test_statements_of_either_label_are_pairs_said_by_the_assistant(tmp_path, yes):
    labels = [yes, LABELS[yes]] * 4
    reading = _reading(tmp_path / "truth.csv", zip(SAID, labels, strict=True))
    trait = reading.trait
    # Every second one of a label is held out.
    assert _pairs(trait) == [(SAID[0], SAID[1]), (SAID[4], SAID[5])]
    (first, _), *_ = trait.contrast.prompts()
    assert [(turn.role, turn.content) for turn in first] == [
        ("user", REQUEST), ("assistant", SAID[0]),
    ]  # fmt: skip
    tests = [prompt.text for prompt in trait.tests()]
    assert [text.split(": ")[1] for text in tests] == [SAID[2], SAID[3], SAID[6], SAID[7]]
    assert "2 statements of each label are contrast pairs" in reading.notes[0]


def test_json_lines_may_have_their_own_tests_and_what_has_no_partner_is_named(tmp_path):
    path = tmp_path / "truth.jsonl"
    rows = [{"statement": said, "label": n < 3} for n, said in enumerate(SAID[:5])]
    rows.append({"test": "How are you?"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reading = trait_files.reading(path, "truth")
    assert _pairs(reading.trait) == [(SAID[0], SAID[3]), (SAID[1], SAID[4])]
    assert "1 statements of one label have no partner" in reading.notes[1]
    assert [prompt.text for prompt in reading.trait.tests()] == ["How are you?"]


@pytest.mark.parametrize(
    ("rows", "head", "said"),
    [
        ([("A.", "1"), ("B.", "maybe")], "statement,label", ":3: label: expected 1 or 0"),
        ([("A.", "1"), ("a.", "0")], "statement,label", ":3: statement: is the same as in line 2"),
        ([(s, "1") for s in SAID], "statement,label", ":9: statement: 8 statements are too few"),
        ([("A.", "1"), ("B.", "0")], "statement,label", "2 statements are too few"),
        ([("A.", "1,yes")], "statement,label,raw", ":2: raw: a statement with its label cannot"),
    ],
    ids=["label", "repeated", "one label", "few", "raw"],
)
def test_what_is_no_contrast_is_refused_by_line(tmp_path, rows, head, said):
    with pytest.raises(CatalogError, match=said):
        _reading(tmp_path / "truth.csv", rows, head)
