"""The page over 500 models and 100 traits in a real browser: opens, scrolls, is accessible."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from steer_assets.reporting.pages.models import render_models
from tests.browser.test_pages import CHROMIUM, MODULES, pytestmark
from tests.reporting.test_models_page import sizes, summary

__all__ = ["pytestmark"]
N_MODELS, N_TRAITS = 500, 100


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = Path(os.environ.get("STEER_SHOTS") or tmp_path_factory.mktemp("models"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "models.html"
    path.write_text(render_models(summary(N_MODELS, N_TRAITS), sizes(N_MODELS)))
    script = Path(__file__).with_name("models.mjs")
    command = ["node", str(script), str(MODULES), CHROMIUM, str(folder), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_opens_within_three_seconds_without_requests(seen: list[dict]):
    assert len(seen) == 2
    for one in seen:
        assert one["opened"] < 3000
        assert (one["errors"], one["requests"]) == ([], [])
        assert one["overflow"] == 0


def test_rows_are_virtual_and_the_last_is_reached_by_scrolling(seen: list[dict]):
    for one in seen:
        assert one["top"]["drawn"] < 60
        assert one["top"]["marks"] == one["top"]["drawn"] * N_TRAITS * 2
        assert one["top"]["points"] == N_MODELS * 2
        assert one["bottom"]["last"] == f"model-{N_MODELS - 1:03}"
        assert one["scrolled"] < 1000
        assert one["filtered"]["drawn"] == 1


def test_each_mark_leads_to_its_report(seen: list[dict]):
    assert {one["href"] for one in seen} == {"model-000/trait-000.html"}


def test_contrast_names_and_structure_are_accessible(seen: list[dict]):
    assert [one["violations"] for one in seen if one["violations"]] == []
