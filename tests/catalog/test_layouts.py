"""Trait files of published layouts: the use of their parts, and the messages on them."""

import json
from pathlib import Path

import pytest

from steer_assets.catalog import limits, trait_files
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts import writing
from steer_assets.catalog.layouts.reading import Reading
from steer_assets.catalog.prompts import readable
from steer_assets.catalog.traits import Trait
from steer_assets.catalog.yaml_files import MOST_YAML
from tests.catalog import field
from tests.catalog.samples import TRAIT, change


def _reading(folder: Path, name: str, text: str) -> Reading:
    path = folder / name
    path.write_text(text)
    return trait_files.reading(path, path.stem)


def _turns(trait: Trait) -> list[list[tuple[str, str]]]:
    found = []
    for prompt in trait.pairs("contrast"):
        assert isinstance(prompt.said, tuple)
        found.append([(turn.role, turn.content) for turn in prompt.said])
    return found


def test_answers_are_turns_of_the_assistant_up_to_the_letter(tmp_path):
    trait = _reading(tmp_path, "caa.json", json.dumps(field.CAA)).trait
    for positive, negative in zip(*[iter(_turns(trait))] * 2, strict=True):
        assert positive[:-1] == negative[:-1]
        assert positive[0][0] == "user"
        assert positive[0][1].endswith("(B) Hurry up.")
        assert {positive[-1], negative[-1]} == {("assistant", "(A"), ("assistant", "(B")}
    by_question = {row["question"]: row["answer_matching_behavior"] for row in field.CAA}
    for (_, question), (_, answer) in _turns(trait)[::2]:
        assert f"{answer})" == by_question[question]


@pytest.mark.parametrize("name", ["caa.json", "mwe.jsonl", "persona.jsonl"])
def test_questions_held_out_are_asked_openly_and_are_no_part_of_the_contrast(tmp_path, name):
    trait = _reading(tmp_path, name, field.LAYOUTS[name]).trait
    tests = [prompt.text for prompt in trait.tests()]
    contrast = {turns[0][1] for turns in _turns(trait)}
    assert len(tests) + len(contrast) == 6
    assert not any(test in question for test in tests for question in contrast)
    assert not any("Choices" in test or "(A)" in test or "Answer:" in test for test in tests)


@pytest.mark.parametrize("name", ["caa.json", "persona.jsonl"])
def test_holding_out_keeps_the_answers_balanced(tmp_path, name):
    """Every second question of an alternating file would leave one answer alone."""
    reading = _reading(tmp_path, name, field.LAYOUTS[name])
    given = [turns[-1][1] for turns in _turns(reading.trait)[::2]]
    assert len(set(given)) == 2
    assert not any(note.startswith("warning") for note in reading.notes)


def test_an_answer_that_always_matches_is_warned_of(tmp_path):
    reading = _reading(tmp_path, "mwe.jsonl", field.LAYOUTS["mwe.jsonl"])
    assert any("the matching answer is '(A)' in every question" in n for n in reading.notes)


def test_of_lists_of_answers_questions_take_turns(tmp_path):
    reading = _reading(tmp_path, "mwe.jsonl", field.LAYOUTS["mwe.jsonl"])
    assert {turns[-1][1] for turns in _turns(reading.trait)[1::2]} == {" (B", " (C"}
    assert "of 6 lists of answers one is used, by turns" in reading.notes


def test_what_is_not_used_is_said(tmp_path):
    notes = _reading(tmp_path, "persona.jsonl", field.LAYOUTS["persona.jsonl"]).notes
    assert "not used: label_confidence, statement" in notes


def test_answered_questions_may_come_with_test_prompts(tmp_path):
    rows = [*field.CAA, {"test": "Describe a morning.", "environment": "topic_shift"}]
    rows += [{"test": "Describe an evening."}]
    trait = _reading(tmp_path, "a.jsonl", field.json_lines(rows)).trait
    assert trait.n_pairs == 6
    assert [prompt.text for prompt in trait.tests()] == [
        "Describe an evening.",
        "Describe a morning.",
    ]


def test_answered_questions_in_a_table(tmp_path):
    text = "question;matching;not_matching;category\n" + "".join(
        f"Q{n}?;yes {n};no;x\n" for n in range(4)
    )
    reading = _reading(tmp_path, "a.csv", text)
    assert reading.trait.n_pairs == 2
    assert "not used: category" in reading.notes


def test_instructions_are_system_turns_and_questions_are_shared_out(tmp_path):
    reading = _reading(tmp_path, "patience.json", field.LAYOUTS["persona_vectors.json"])
    trait, given = reading.trait, field.PERSONA_VECTORS
    pairs = list(zip(*[iter(_turns(trait))] * 2, strict=True))
    assert len(pairs) == 3 * 2
    assert len({str(pair) for pair in pairs}) == 6
    poles = {one["pos"]: one["neg"] for one in given["instruction"]}
    for ((role, positive), asked), ((_, negative), same) in pairs:
        assert (role, asked[0]) == ("system", "user")
        assert poles[positive] == negative
        assert asked == same
    asked = {pair[0][1][1] for pair in pairs}
    tests = [prompt.said for prompt in trait.tests()]
    assert sorted([*asked, *map(str, tests)]) == sorted(given["questions"])
    assert trait.evaluation == given["eval_prompt"]
    assert any("`evaluation`" in note for note in reading.notes)


def test_the_first_pairs_of_instructions_have_every_question(tmp_path):
    """A study takes pairs from the top."""
    trait = _reading(tmp_path, "patience.json", field.LAYOUTS["persona_vectors.json"]).trait
    first = _turns(trait)[: 2 * 2 : 2]
    assert len({turns[1] for turns in first}) == 2
    assert len({turns[0] for turns in first}) == 2


@pytest.mark.parametrize("name", field.LAYOUTS)
@pytest.mark.parametrize("most", [MOST_YAML, 0])
def test_what_is_written_reads_as_the_same_prompts(tmp_path, monkeypatch, name, most):
    monkeypatch.setattr(writing, "MOST_YAML", most)
    trait = _reading(tmp_path, name, field.LAYOUTS[name]).trait
    for wanted in (trait, writing.raw(trait)):
        file_name, text = writing.file_of(wanted)
        (tmp_path / "out").mkdir(exist_ok=True)
        path = tmp_path / "out" / file_name
        path.write_text(text)
        found = trait_files.read(path, trait.trait)
        assert path.suffix == (".yaml" if most else ".jsonl")
        assert list(found.pairs("contrast")) == list(wanted.pairs("contrast"))
        assert list(found.tests()) == list(wanted.tests())
        assert (found.title, found.poles) == (wanted.title, wanted.poles)
        assert not most or found == wanted


def test_markup_is_found_with_its_line_and_only_where_it_is(tmp_path):
    reading = _reading(tmp_path, "a.jsonl", "\n" + field.LAYOUTS["templated.jsonl"])
    marked = limits.templated(reading)
    assert [(reading.line_of(place), mark) for place, mark in marked] == [
        (line, "<|im_start|>") for line in (2, 3, 4, 5)
    ]
    raw = writing.raw(reading.trait)
    assert [prompt.raw for prompt in raw.pairs("contrast")] == [True] * 8
    assert [prompt.raw for prompt in raw.tests()] == [False] * 2
    assert not limits.templated(Reading(raw, (), reading.line_of))
    plain = _reading(tmp_path, "b.jsonl", field.json_lines(field.PAIR_ROWS))
    assert not limits.templated(plain)


def test_a_row_may_be_declared_raw(tmp_path):
    text = "positive,negative,test,raw\n<s>a,<s>b,,yes\n<s>c,<s>d,,yes\n,,e,\n"
    reading = _reading(tmp_path, "a.csv", text)
    assert [prompt.raw for prompt in reading.trait.pairs("contrast")] == [True] * 4
    assert not limits.templated(reading)


def test_a_table_may_have_system_turns(tmp_path):
    text = "positive_system,positive,negative_system,negative,test\n" + "".join(
        f"Be kind.,Q{n}?,Be rude.,Q{n}?,T{n}\n" for n in range(2)
    )
    trait = _reading(tmp_path, "a.csv", text).trait
    assert _turns(trait)[:2] == [
        [("system", "Be kind."), ("user", "Q0?")],
        [("system", "Be rude."), ("user", "Q0?")],
    ]


TURNS = """\
contrast:
  pairs:
   - positive: [{role: user, content: H}, {role: assistant, content: Y.}, {role: user, content: R}]
     negative: [{role: user, content: H}, {role: assistant, content: N.}, {role: user, content: R}]
   - positive: {raw: "<s>yes"}
     negative: {raw: "<s>no"}
"""


def test_yaml_has_turns_and_raw_texts(tmp_path):
    text = TRAIT[: TRAIT.index("contrast:")] + TURNS + TRAIT[TRAIT.index("test:") :]
    trait = _reading(tmp_path, "brevity.yaml", text).trait
    (first, _, third, _) = trait.pairs("contrast")
    assert readable(first.said) == "[user] H\n[assistant] Y.\n[user] R"
    assert json.loads(first.turns)[1] == {"role": "assistant", "content": "Y."}
    assert (third.raw, third.text, third.turns) == (True, "<s>yes", "")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("content: Y.}, {role: user", "content: Y.}, {role: system",
         ":7: contrast.pairs.0.positive: expected an optional system turn"),
        ("[{role: user, content: H}, {role: assistant, content: Y", "[{role: assistant, content: Y",
         ":7: contrast.pairs.0.positive: expected an optional system turn"),
        ("{role: assistant, content: Y.}", "{role: model, content: Y.}",
         ":7: contrast.pairs.0.positive.1.role: Input should be 'system', 'user' or 'assistant'"),
        ('positive: {raw: "<s>yes"}', 'positive: {row: "<s>yes"}',
         ":9: contrast.pairs.1.positive.raw: Field required"),
        ('negative: {raw: "<s>no"}', 'negative: {raw: "<s>yes"}',
         ":9: contrast.pairs.1: positive and negative are the same"),
    ],
)  # fmt: skip
def test_turns_that_do_not_fit_are_named(tmp_path, old, new, said):
    text = (
        TRAIT[: TRAIT.index("contrast:")] + change(TURNS, old, new) + TRAIT[TRAIT.index("test:") :]
    )
    with pytest.raises(CatalogError) as caught:
        _reading(tmp_path, "brevity.yaml", text)
    assert f"brevity.yaml{said}" in str(caught.value)
