"""Studies that leave blocks and doses to calibration."""

import re

import pytest

from steer_assets.catalog import catalog
from steer_assets.catalog.errors import CatalogError
from steer_assets.pipeline.working_point import in_study
from tests.catalog.samples import STUDY, change


def _automatic(text: str = STUDY) -> str:
    text = change(text, "steer: [L/2, 2L/3]", "steer: auto")
    return change(text, "    - families: [base]\n", "    - families: [base]\n      alphas: auto\n")


def test_blocks_and_doses_may_be_left_to_calibration(user):
    (user / "studies" / "mine.yaml").write_text(_automatic())
    study = catalog.study("mine")
    assert study.layers.automatic
    assert study.automatic_doses
    assert study.settings(("layers.steer",)) == {"layers.steer": ["auto"]}
    arms = study.settings(("generation",))["generation"]["arms"]
    assert [block["alphas"] for block in arms] == ["auto", [0.5, 2.0]]
    assert not catalog.study("quick").automatic


def test_what_calibration_found_takes_the_place_of_auto(user):
    (user / "studies" / "mine.yaml").write_text(_automatic())
    study = in_study(catalog.study("mine"), {20: 3.5, 15: 2.25}, 30)
    assert not study.automatic
    assert study.layers.steer == (15, 20)
    assert study.behaviour.steered_alpha == 3.5
    found = [(arms.families, arms.layers, arms.alphas) for arms in study.generation.arms]
    assert found == [
        (("base",), (15,), (2.25,)),
        (("base",), (20,), (3.5,)),
        (("base", "logistic"), None, (0.5, 2.0)),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steer: auto", "steer: [auto, 3]", "steer: auto stands alone"),
        ("geometry: [L/2]", "geometry: [auto]", "neither a number nor a fraction"),
        ("      alphas: auto\n", "      alphas: car\n", "valid tuple"),
        ("      alphas: auto\n", "      alphas: []\n", "at least 1 item"),
        ("      alphas: auto\n", "      layers: [3]\n", "may not name layers"),
        ("statistics:", "calibration: {multiples: [0.5]}\nstatistics:", "hold 1"),
        ("statistics:", "calibration: {texts: 30}\nstatistics:", "may not exceed"),
        ("statistics:", "calibration: {kl: 1}\nstatistics:", "Extra inputs"),
        ("scoring:", "  multi_layer: {}\nscoring:", "auto may find one block"),
        (
            "scoring:",
            "  scope: generated\nscoring:",
            "next token after the prompt, which this scope",
        ),
    ],
)
def test_what_cannot_be_left_to_calibration_is_refused(user, old, new, said):
    (user / "studies" / "mine.yaml").write_text(change(_automatic(), old, new))
    with pytest.raises(CatalogError, match=re.escape(said)):
        catalog.study("mine")
