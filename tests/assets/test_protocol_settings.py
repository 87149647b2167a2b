"""Protocols of a study: their switches, their texts, and what a study may ask of them."""

import pytest
from pydantic import ValidationError

from steer_assets.catalog import catalog
from steer_assets.catalog.protocols import (
    CONTROLLED,
    GENERATION_SWITCHES,
    SWITCHES,
    Protocol,
    texts_of,
    variants,
)
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design import protocol_sites
from steer_assets.pipeline.design.protocol_settings import TOUCHED, settings


def test_the_ten_switches_all_touch_something() -> None:
    assert {switch for touched in TOUCHED.values() for switch in touched} == set(SWITCHES)
    assert len(SWITCHES) == 10
    assert {conclusion for conclusion, _ in TOUCHED} == {
        "orthogonal_irrelevance",
        "alpha_robustness",
        "environment_robustness",
        "vector_equivalence",
        "spanning",
        "null_space_size",
        "logit_equivalence",
    }


def test_settings_differ_from_the_protocol_in_one_switch() -> None:
    reference = Protocol(name="reference", switches=SWITCHES)
    found = list(settings(reference, "orthogonal_irrelevance", "d", "formality"))
    assert found[0].on == set(SWITCHES)
    assert found[-1].on == frozenset()
    for setting in found[1:-1]:
        assert set(SWITCHES) - setting.on == {setting.switch}


def test_new_texts_only_where_the_texts_differ() -> None:
    reference = Protocol(name="reference", switches=SWITCHES)
    assert len(variants(reference)) == 1 + len(GENERATION_SWITCHES)
    on = frozenset(SWITCHES)
    assert texts_of(reference, on) == "reference"
    for switch in SWITCHES:
        expected = f"reference-minus-{switch}" if switch in GENERATION_SWITCHES else "reference"
        assert texts_of(reference, on - {switch}) == expected
    assert texts_of(reference, frozenset()) == CONTROLLED
    with pytest.raises(ValueError, match="no texts"):
        texts_of(reference, on - set(GENERATION_SWITCHES))


def test_any_single_switch_is_a_protocol_of_its_own() -> None:
    settings = catalog.study("quick").model_dump(mode="json")
    for switch in SWITCHES:
        settings["protocols"] = [
            {"name": CONTROLLED},
            {"name": switch.replace("_", "-"), "switches": [switch]},
        ]
        study = Study.model_validate(settings)
        (protocol,) = study.switched_protocols
        assert protocol.switches == (switch,)
        assert len(variants(protocol)) == 1 + (switch in GENERATION_SWITCHES)
        assert protocol_sites.sites(study)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocols": [{"name": "reference", "switches": ["no_baseline"]}]}, "always needed"),
        ({"protocols": [{"name": "controlled", "switches": ["no_baseline"]}]}, "no switch on"),
        ({"protocols": [{"name": "controlled"}, {"name": "other"}]}, "name those that are on"),
        ({"protocols": [{"name": "controlled"}, {"name": "controlled"}]}, "one name"),
        (
            {"protocols": [{"name": "controlled"}, {"name": "a", "switches": ["no_base"]}]},
            "switches",
        ),
        ({"protocol_texts": None}, "what protocols with switches are run on"),
        ({"scoring": {"scorers": ["minilm", "minilm"]}}, "named twice"),
    ],
)
def test_a_study_says_what_is_wrong_with_its_protocols(change: dict, message: str) -> None:
    settings = catalog.study("quick").model_dump(mode="json")
    with pytest.raises(ValidationError, match=message):
        Study.model_validate({**settings, **change})


def test_protocols_run_on_a_part_of_what_controlled_is_run_on() -> None:
    settings = catalog.study("quick").model_dump(mode="json")
    for name, value in (("samples", 9), ("seeds", 9), ("layers", [1])):
        texts = {**settings["protocol_texts"], name: value}
        with pytest.raises(ValidationError, match=name):
            Study.model_validate({**settings, "protocol_texts": texts})


def test_v_is_read_one_block_early_and_not_before_the_first() -> None:
    site = protocol_sites.site_of(["layer_offset", "no_chat_template"])
    assert (site.read_layer(15), site.name) == (14, "offset-raw")
    with pytest.raises(ValueError, match="does not exist"):
        site.read_layer(0)
