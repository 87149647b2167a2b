"""What is wrong with files of published layouts is said with its line, and what is few is told."""

import json
from pathlib import Path

import pytest

from steer_assets.catalog import limits, trait_files
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts import heldout
from steer_assets.catalog.layouts.reading import Reading
from tests.catalog import field


def _reading(folder: Path, name: str, text: str) -> Reading:
    path = folder / name
    path.write_text(text)
    return trait_files.reading(path, path.stem)


def _without(row: dict, field_name: str) -> dict:
    return {key: value for key, value in row.items() if key != field_name}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", json.dumps([field.CAA[0], field.CAA[1], field.CAA[0]], indent=0),
         ":12: question: is the same as in line 2: 'How are chores split?"),
        ("a.jsonl", field.json_lines([*field.CAA, _without(field.CAA[0], "question")]),
         ":7: question: expected text, found None"),
        ("a.jsonl",
         field.json_lines([*field.MWE, _without(field.MWE[0], "answer_matching_behavior")]),
         ":7: answer_matching_behavior: expected text, found None"),
        ("a.jsonl", field.json_lines([*field.PAIR_ROWS, {"question": "Why?"}]),
         ":5: question: without both of its answers"),
        ("a.jsonl", field.json_lines([*field.CAA, field.PAIR_ROWS[0]]),
         ":1: contrast: give pairs, or templates with contexts, or answered questions"),
        ("a.jsonl", field.json_lines(field.CAA[:2]), ":2: test: 2 questions are too few"),
        ("a.jsonl", field.json_lines([*field.PAIR_ROWS, {"test": [{"role": "user"}]}]),
         ":5: test.in_distribution.4.0.content: Field required"),
        ("a.json", "[1]", ":1: item: expected an object"),
        ("a.json", "[", ":1: not valid JSON"),
        ("a.json", '{"instruction": []}', ":1: questions: expected a list"),
        ("a.json", json.dumps({**field.PERSONA_VECTORS, "question": 1}, indent=1),
         ": question: unknown field"),
        ("a.json", json.dumps({**field.PERSONA_VECTORS, "questions": ["a"]}),
         "too few to keep one"),
        ("a.json", json.dumps({**field.PERSONA_VECTORS, "questions": ["a", "b", "A"]}, indent=1),
         ":19: questions.2: is the same as in line 17"),
        ("a.json", json.dumps({**field.PERSONA_VECTORS, "instruction": [{"pos": "a"}]}, indent=1),
         ':3: instruction: expected {"pos": ..., "neg": ...}'),
        ("a.csv", "positive,negative,raw\na,b,maybe\n",
         ":2: raw: expected yes or no, found 'maybe'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path, name, text, said):
    with pytest.raises(CatalogError) as caught:
        _reading(tmp_path, name, text)
    assert f"{name}{said}" in str(caught.value) or said in str(caught.value)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Why?\n\nChoices:\n(A) Yes\n(B) No", "Why?"),
        ("Why?\n (A) Yes\n (B) No\n\nAnswer:", "Why?"),
        ("Why?\n\nOptions:\nA) Yes\nB) No", "Why?"),
        ("Why?\n\nAnswer:", "Why?"),
        ("Is (A) a letter?", "Is (A) a letter?"),
        ('Would you say this?\n"Answer: no"', 'Would you say this?\n"Answer: no"'),
    ],
)
def test_open_questions_have_no_choices(question, said):
    assert heldout.open_question(question) == said


@pytest.mark.parametrize("n", range(2, 9))
@pytest.mark.parametrize("groups", [1, 2, 9])
def test_a_split_loses_nothing_and_leaves_enough(n, groups):
    kept, tests = heldout.split(list(range(n)), group=lambda item: item % groups)
    assert sorted([*kept, *tests]) == list(range(n))
    assert len(kept) >= 2
    assert n == 2 or tests


@pytest.mark.parametrize(
    ("n_pairs", "n_tests", "said"),
    [
        (2, 1, ["2 contrast pairs: too few", "1 test prompt of in_distribution: no interval",
                "no test prompts of topic_shift, genre_shift, safety_style", "no null space"]),
        (3, 2, ["3 contrast pairs: too few", "2 test prompts of in_distribution: intervals by t",
                "no test prompts of topic_shift, genre_shift, safety_style", "no null space",
                "differences under about 2.1 standard deviations"]),
        (4, 12, ["no test prompts of topic_shift, genre_shift, safety_style",
                 "differences under about 0.8 standard deviations"]),
        (4, 215, ["no test prompts of topic_shift, genre_shift, safety_style"]),
    ],
)  # fmt: skip
def test_what_so_few_cannot_estimate_is_said(tmp_path, n_pairs, n_tests, said):
    rows = [{"positive": f"a{n}", "negative": f"b{n}"} for n in range(n_pairs)]
    rows += [{"test": f"c{n}"} for n in range(n_tests)]
    trait = _reading(tmp_path, "a.jsonl", field.json_lines(rows)).trait
    found = list(limits.limits(trait))
    assert len(found) == len(said)
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence
