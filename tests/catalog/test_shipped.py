"""The built-in catalog: enough entries of every kind, and a valid experimental design."""

from collections import defaultdict

import pytest

from steer_assets.catalog import catalog
from steer_assets.paths import CATALOG
from steer_assets.scoring.labelled import read_labelled

TRAITS = ["agreeableness", "formality", "politeness", "sentiment", "truthfulness"]
each_trait = pytest.mark.parametrize("name", TRAITS)


def test_the_five_traits_are_there():
    assert catalog.trait_keys() == TRAITS


def test_every_model_is_one():
    for key in catalog.model_keys():
        assert catalog.model_entry(key).model == key


@each_trait
def test_every_prompt_has_an_identity_of_its_own(name):
    trait = catalog.trait(name)
    prompts = [*trait.pairs("contrast"), *trait.tests()]
    assert len({prompt.prompt_id for prompt in prompts}) == len(prompts)
    assert len({prompt.text for prompt in prompts}) == len(prompts)


@each_trait
def test_pairs_differ_in_the_pole_alone(name):
    trait = catalog.trait(name)
    pairs = defaultdict(dict)
    for prompt in trait.pairs("contrast"):
        pairs[prompt.pair_id][prompt.polarity] = prompt.text
    assert len(pairs) == trait.n_pairs
    for (_, context), pair in zip(trait.contrast.placed(), pairs.values(), strict=True):
        assert set(pair) == {"positive", "negative"}
        assert all(context in text for text in pair.values())
        assert pair["positive"] != pair["negative"]


@each_trait
def test_labelled_texts_are_enough_and_no_topic_gives_the_label_away(name):
    texts = read_labelled(catalog.labelled_path(name))
    labels = defaultdict(set)
    for text in texts:
        labels[text.topic].add(text.label)
    assert all(found == {"positive", "negative"} for found in labels.values())
    assert len(labels) >= 5  # enough to hold topics out
    for label in ("positive", "negative"):
        assert sum(text.label == label for text in texts) >= 150


def test_control_directions_are_no_partitions():
    controls = {path.stem for path in (CATALOG / "controls").glob("*.yaml")}
    assert controls
    assert not controls & set(catalog.trait_keys())
    for name in controls:
        assert len(list(catalog.control_trait(name).contrast.placed())) >= 20
