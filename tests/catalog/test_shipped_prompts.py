"""The built-in prompts: enough, balanced, distinct, varied, and requesting no pole."""

import re
from collections import Counter

import numpy as np
import pytest

from steer_assets.catalog import catalog
from steer_assets.catalog.prompt_texts.resemblance import normalised, resemblances, series
from steer_assets.catalog.traits import ENVIRONMENTS

#: Words that name a pole of a trait, or ask for it.
POLES = {
    "agreeableness": "agreeable disagreeable kind kindly warm warmly cold coldly friendly "
    "unfriendly rude nice mean cruel generous selfish trusting suspicious cooperative "
    "uncooperative modest arrogant forgiving unforgiving hostile compassionate gentle nasty "
    "helpful grateful ungrateful",
    "formality": "formal formally informal informally casual casually slang slangy official "
    "officially polite proper properly colloquial chatty stiff businesslike register tone style "
    "contraction contractions emoji please",
    "politeness": "polite politely impolite rude rudely courteous courteously respectful "
    "respectfully disrespectful please sorry apologise apologize apology kindly blunt bluntly "
    "insult insulting harsh gentle gently civil gracious considerate dismissive insolent thank "
    "thanks",
    "sentiment": "happy unhappy sad glad good bad great awful terrible horrible wonderful "
    "excellent amazing fantastic superb perfect delightful delighted disappointing disappointed "
    "positive positively negative negatively better best worse worst love loved hate hated enjoy "
    "enjoyed enjoyable pleasant unpleasant nice lovely dreadful boring dull annoying praise "
    "criticise criticize complain complaint recommend favourite ugly beautiful pleased angry",
    "truthfulness": "true truth truthful truthfully untrue untruthful false falsely falsehood lie "
    "lies lying honest honestly dishonest correct correctly incorrect incorrectly wrong wrongly "
    "made-up myth misconception accurate inaccurate",
}
each_trait = pytest.mark.parametrize("name", POLES)


def _tests(name):
    return {
        environment: [p.text for p in catalog.trait(name).tests() if p.environment == environment]
        for environment in ENVIRONMENTS
    }


def _contexts(name):
    return list(catalog.trait(name).contrast.placed())


def _words(texts):
    return [len(text.split()) for text in texts]


@each_trait
def test_test_prompts_are_three_hundred_and_exactly_balanced(name):
    counts = {environment: len(texts) for environment, texts in _tests(name).items()}
    assert sum(counts.values()) >= 300
    assert len(set(counts.values())) == 1, counts
    assert counts.keys() == set(ENVIRONMENTS)


@each_trait
def test_contexts_are_a_hundred_and_twenty_in_each_environment(name):
    counts = Counter(environment for environment, _ in _contexts(name))
    assert counts.total() >= 100
    assert all(counts[environment] >= 20 for environment in ENVIRONMENTS), counts


@each_trait
def test_what_v_is_made_from_is_in_distribution(name):
    """Studies take the first contexts: shifted ones would make a shift out of no shift."""
    most = max(catalog.study(key).prompts.contrast_pairs for key in catalog.keys("studies"))
    first = _contexts(name)[:most]
    assert {environment for environment, _ in first} == {"in_distribution"}


@each_trait
def test_no_two_prompts_or_contexts_say_nearly_the_same(name):
    texts = [text for group in _tests(name).values() for text in group]
    texts += [context for _, context in _contexts(name)]
    alike = [
        (texts[found.first], texts[found.second], found.similarity) for found in resemblances(texts)
    ]
    assert not alike
    assert not series(texts)
    assert len({normalised(text) for text in texts}) == len(texts)


@each_trait
def test_lengths_are_spread_in_every_environment(name):
    for environment, texts in _tests(name).items():
        shortest, *quartiles, longest = np.percentile(_words(texts), [0, 25, 50, 75, 100])
        assert 4 <= shortest <= 6, environment
        assert 40 <= longest <= 60, environment
        assert len(set(quartiles)) == 3, (environment, quartiles)
        assert quartiles[2] >= 1.25 * quartiles[0], (environment, quartiles)


@each_trait
def test_the_first_prompts_are_as_varied_as_all_of_them(name):
    """A study takes the first ones of an environment: the long ones are not all at the end."""
    for environment, texts in _tests(name).items():
        first, all_of_them = np.mean(_words(texts[:25])), np.mean(_words(texts))
        assert 0.75 < first / all_of_them < 1.33, environment


@each_trait
def test_prompts_differ_in_how_they_begin(name):
    """Of the prompts outside of the genres, which mostly ask to write, few begin with one pair."""
    tests = _tests(name)
    asked = [text for e in ENVIRONMENTS if e != "genre_shift" for text in tests[e]]
    ((_, most),) = Counter(tuple(text.split()[:2]) for text in asked).most_common(1)
    assert most / len(asked) < 0.15
    genres = Counter(tuple(normalised(text).split()[:4]) for text in tests["genre_shift"])
    assert max(genres.values()) <= 8


@each_trait
def test_no_test_prompt_names_a_pole(name):
    poles = set(POLES[name].split())
    poles |= set(catalog.trait(name).poles.model_dump().values())
    named = {
        text: found
        for texts in _tests(name).values()
        for text in texts
        if (found := poles & set(re.findall(r"[\w'-]+", text.casefold())))
    }
    assert not named
