"""Contexts by environment: in YAML and in rows; pairs carry it; lists are what they were."""

import json

import pytest

from steer_assets.catalog import trait_files
from steer_assets.catalog.errors import CatalogError
from steer_assets.catalog.layouts import writing
from steer_assets.catalog.traits import Trait
from tests.catalog.samples import TRAIT

PLACED = {
    "in_distribution": ["Explain tea."],
    "genre_shift": ["Write a verse.", "Write a note."],
}
ROWS = [
    {"positive_template": "Briefly: {context}", "negative_template": "At length: {context}"},
    {"context": "Write a verse.", "environment": "genre_shift"},
    {"context": "Explain tea."},
    {"context": "Write a note.", "environment": "genre_shift"},
    {"test": "Explain rain.", "environment": "topic_shift"},
    {"test": "Explain snow."},
]


def _value(contexts):
    return {
        "trait": "brevity",
        "title": "Brevity",
        "description": "Short or long.",
        "poles": {"positive": "short", "negative": "long"},
        "contrast": {
            "positive_template": "Briefly: {context}",
            "negative_template": "At length: {context}",
            "contexts": contexts,
        },
        "test": {"in_distribution": ["Explain snow."], "topic_shift": ["Explain rain."]},
    }


def _read(path, text):
    path.write_text(text)
    return trait_files.read(path, path.stem)


def _pairs(trait):
    return [
        (prompt.pair_id, prompt.environment, prompt.text)
        for prompt in trait.pairs("contrast")
        if prompt.polarity == "positive"
    ]


def test_pairs_have_the_environments_of_their_contexts():
    assert _pairs(Trait.model_validate(_value(PLACED))) == [
        ("brevity-pair-000", "in_distribution", "Briefly: Explain tea."),
        ("brevity-pair-001", "genre_shift", "Briefly: Write a verse."),
        ("brevity-pair-002", "genre_shift", "Briefly: Write a note."),
    ]


def test_contexts_without_one_are_in_distribution(tmp_path):
    trait = _read(tmp_path / "brevity.yaml", TRAIT)
    assert {environment for _, environment, _ in _pairs(trait)} == {"in_distribution"}
    assert isinstance(trait.contrast.contexts, tuple)


def test_rows_say_the_same_as_yaml(tmp_path):
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    read = _read(tmp_path / "brevity.jsonl", text)
    expected = Trait.model_validate(_value(PLACED))
    assert (read.contrast, read.test) == (expected.contrast, expected.test)


@pytest.mark.parametrize("most", [1 << 19, 0], ids=["yaml", "jsonl"])
@pytest.mark.parametrize("contexts", [PLACED, ["Explain tea.", "Write a verse."]])
def test_what_is_written_is_read_again(tmp_path, monkeypatch, most, contexts):
    monkeypatch.setattr(writing, "MOST_YAML", most)
    trait = Trait.model_validate(_value(contexts))
    name, text = writing.file_of(trait)
    again = _read(tmp_path / name, text)
    assert list(again.pairs("contrast")) == list(trait.pairs("contrast"))
    assert list(again.tests()) == list(trait.tests())


@pytest.mark.parametrize(
    ("contexts", "said"),
    [
        ("{genre_shift: [one]}", ":8: contrast.contexts: one context is one pair"),
        ("{genre_shift: [one, two], style: [x]}", ":8: contrast.contexts.style: Extra inputs"),
        ("{genre_shift: [one], topic_shift: [One]}",
         ":8: contrast.contexts.genre_shift.0: is the same as in line 8: 'one'"),
        ("{genre_shift: [one, 2]}", ":8: contrast.contexts.genre_shift.1: Input should be a valid"),
        ("[one]", ":8: contrast.contexts: Tuple should have at least 2 items"),
        ("one", ":8: contrast.contexts: Input should be a valid tuple"),
    ],
)  # fmt: skip
def test_wrong_contexts_are_answered_with_their_line(tmp_path, contexts, said):
    start, _, rest = TRAIT.partition("  contexts:\n")
    path = tmp_path / "brevity.yaml"
    text = f"{start}  contexts: {contexts}\ntest:{rest.partition('test:')[2]}"
    with pytest.raises(CatalogError) as caught:
        _read(path, text)
    assert str(caught.value).startswith(f"{path}{said}")


def test_an_environment_of_a_context_must_be_one(tmp_path):
    rows = [*ROWS, {"context": "Explain hail.", "environment": "weather"}]
    with pytest.raises(CatalogError, match=r":7: environment: 'weather' is none of in_dist"):
        _read(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
