"""Near-duplicate prompts cause warnings, and different ones do not."""

import itertools
import random
import time

import pytest

from steer_assets.catalog import trait_files
from steer_assets.catalog.prompt_texts import repeated
from steer_assets.catalog.prompt_texts.resemblance import (
    MOST_OF_A_FRAME,
    THRESHOLD,
    normalised,
    pieces,
    resemblances,
    series,
    similarity,
)
from tests.catalog.samples import TRAIT, change
from tests.timings import slowness

PROMPT = "Ask the neighbour to turn the music down after ten."


@pytest.mark.parametrize(
    "again",
    [
        PROMPT,
        "  ask the neighbour\tto turn THE music down, after ten!",
        "Ask the neighbour to turn the music down -- after ten...",
        "Please ask the neighbour to turn the music down after ten.",
        "Ask the neighbour to turn the music down after nine.",
        "Ask the neighbour to turn the radio down after ten.",
        "After ten, ask the neighbour to turn the music down.",
    ],
)
def test_the_same_in_other_words_is_found(again):
    (found,) = resemblances(["Why is the sea salty?", PROMPT, "Describe a train.", again])
    assert (found.first, found.second) == (1, 3)
    assert found.similarity >= THRESHOLD


@pytest.mark.parametrize(
    "other",
    [
        "Ask the neighbour to feed the cat.",
        "Turn down an invitation to a party.",
        "What music does the neighbour play after ten?",
        "Ask the hotel to move you to a room at the back.",
    ],
)
def test_another_matter_is_not(other):
    assert not list(resemblances([PROMPT, other]))


def test_texts_of_other_scripts_and_of_no_words_are_told_apart():
    assert not list(
        resemblances(["猫はなぜ鳴くのですか", "海はなぜ塩辛いのですか", "?", "!!", "a", "b"])
    )
    (found,) = resemblances(["Où est la gare ?", "où est la gare"])
    assert found.similarity == 1
    assert normalised("?!") == "?!"


def test_nothing_is_missed_that_comparing_every_pair_finds():
    rng = random.Random(7)
    words = ["cat", "dog", "train", "tea", "sea", "asks", "tells", "of", "in", "a", "old", "new"]
    texts = [" ".join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(250)]
    parts = [pieces(text) for text in texts]
    expected, kept = [], []
    for second in range(len(texts)):
        near = (n for n in kept if similarity(parts[n], parts[second]) >= THRESHOLD)
        first = next(near, None)
        if first is None:
            kept.append(second)
        else:
            expected.append((first, second))
    assert len(expected) > 10
    assert [(found.first, found.second) for found in resemblances(texts)] == expected


def test_a_series_from_one_template_is_found_and_a_few_of_one_opening_are_not():
    topics = ["dogs", "cats", "rain", "maps", "tea", "snow", "boats", "trees", "books", "bread"]
    (found,) = series([PROMPT, *(f"Write about {topic}." for topic in topics)])
    assert found.frame == "write about ..."
    assert found.members == tuple(range(1, len(topics) + 1))
    assert not series([f"Write about {topic}." for topic in topics[:MOST_OF_A_FRAME]])
    pairs = [f"Tell me about {a} {b}." for a, b in itertools.pairwise(topics)]
    assert [one.frame for one in series(pairs)] == ["tell me about ..."]


def test_two_thousand_prompts_take_a_moment():
    rng = random.Random(1)
    words = [f"{rng.randrange(10**6):x}" for _ in range(600)]
    texts = [
        "What should someone do if " + " ".join(rng.choices(words, k=rng.randint(4, 30)))
        for _ in range(2000)
    ]
    start = time.process_time()
    assert not list(resemblances(texts))
    assert not series(texts)
    assert time.process_time() - start < 4 * slowness()


def _warnings(path, text):
    path.write_text(text)
    return list(repeated.warnings(path, trait_files.reading(path, path.stem)))


def test_a_file_that_repeats_itself_is_warned_of_by_line_and_used(tmp_path):
    path = tmp_path / "brevity.yaml"
    assert not _warnings(path, TRAIT)
    said = _warnings(path, change(TRAIT, "Explain snow.", "explain  rain!"))
    assert said == [
        f"warning: {path}:15: test.in_distribution.1: 'explain  rain!' says nearly the same as "
        "'Explain rain.' in line 14 (similarity 1.00)"
    ]


def test_a_test_prompt_that_is_a_context_is_warned_of(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "context,positive_template,negative_template,test\n"
        f"{PROMPT},Briefly: {{context}},At length: {{context}},\n"
        "Explain what a notary does.,,,\n"
        f",,,{PROMPT.upper()}\n"
    )
    (said,) = repeated.warnings(path, trait_files.reading(path, "a"))
    assert said.startswith(f"warning: {path}:4: test.in_distribution.0: ")
    assert "in line 2 " in said


def test_a_long_list_of_warnings_is_cut(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f",,Say in a few words what you think of the {n}th street.\n" for n in range(90)]
    path.write_text("positive,negative,test\na,b,\nc,d,\n" + "".join(rows))
    said = list(repeated.warnings(path, trait_files.reading(path, "a")))
    assert len(said) == 21
    assert "further prompts or series" in said[-1]


def test_prompts_that_are_made_from_contexts_are_no_repeats(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(
        '{"persona_prompts": {"a": {"contexts": ["tea", "rain", "maps"], '
        '"positive_template": "x {context}", "negative_template": "y {context}"}}}'
    )
    assert not list(repeated.warnings(path, trait_files.reading(path, "a")))
