"""Report and index in a real browser: wide and narrow, light and dark.

Needs Chromium and a node with playwright-core and axe-core; `make pages` fetches the two packages.
Without them these tests are skipped: nothing else here needs node.
"""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from steer_assets.paths import REPOSITORY
from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.pages.index import render_index
from steer_assets.reporting.pages.report import render_report
from tests.reporting.synthetic import HOSTILE, build_evidence, table

MODULES = Path(os.environ.get("STEER_NODE_MODULES") or REPOSITORY / ".venv/pages/node_modules")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), "")
MISSING = [
    what
    for what, there in (
        ("node", shutil.which("node")),
        ("Chromium (or set CHROMIUM)", CHROMIUM),
        ("playwright-core", (MODULES / "playwright-core").is_dir()),
        ("axe-core", (MODULES / "axe-core").is_dir()),
    )
    if not there
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not here: {', '.join(MISSING)}; see `make pages`"),
]
PAGES = ("report", "partial", "empty", "index", "index_empty")


def _partial(evidence: Evidence) -> Evidence:
    """One layer untestable, the other absent, scores and spectra missing."""
    tests = evidence.table("equivalence_tests").filter(pl.col("layer") == 15)
    reports = evidence.table("equivalence_reports").filter(pl.col("layer") == 15)
    untestable = pl.lit("untestable").alias("verdict")
    tables = {
        **evidence.tables,
        "equivalence_tests": tests.with_columns(untestable),
        "equivalence_reports": reports.with_columns(untestable),
    }
    for name in ("svd_spectra", "classifier_scores", "fluency", "protocol_findings"):
        del tables[name]
    return _with(evidence, tables)


def _with(evidence: Evidence, tables: dict[str, pl.DataFrame]) -> Evidence:
    return replace(evidence, tables=tables)


def _index() -> str:
    def row(model: str, trait: str, layer: int, verdict: str) -> dict[str, object]:
        return {"model": model, "trait": trait, "layer": layer, "verdict": verdict,
                "efficacy": 0.5, "efficacy_low": 0.1, "efficacy_high": 0.9,
                "null_fraction_fisher": 0.7, "null_fraction_covariance": 0.8,
                "sampling_floor_covariance": 0.6}  # fmt: skip

    verdicts = ("equivalent", "different", "inconclusive", "untestable")
    models = ("tiny", "qwen--qwen2.5-0.5b-instruct-with-a-long-name")
    traits = ("formality", "sentiment", "truthfulness", "agreeableness", "politeness")
    rows = [
        row(model, trait, layer, verdicts[(i + j + k) % 4])
        for i, model in enumerate(models)
        for j, trait in enumerate(traits)
        for k, layer in enumerate((15, 20))
    ]
    stale = pl.DataFrame(
        {"asset": ["generations"], "partition": ["tiny|formality"], "why": [HOSTILE]}
    )
    links = {("tiny", "formality"): "tiny/formality.html"}
    return render_index(table("identifiability_summary", rows), stale, links)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Findings of the browser on every page, width and colour scheme."""
    folder = Path(os.environ.get("STEER_SHOTS") or tmp_path_factory.mktemp("pages"))
    folder.mkdir(parents=True, exist_ok=True)
    evidence = build_evidence()
    nothing = pl.DataFrame({"asset": []}, schema={"asset": pl.String})
    html = {
        "report": render_report(evidence).html,
        "partial": render_report(_partial(evidence)).html,
        "empty": render_report(_with(evidence, {})).html,
        "index": _index(),
        "index_empty": render_index(table("identifiability_summary", []), nothing, {}),
    }
    paths = []
    for name in PAGES:
        path = folder / f"{name}.html"
        path.write_text(html[name])
        paths.append(str(path))
    script = Path(__file__).with_name("check.mjs")
    done = subprocess.run(
        ["node", str(script), str(MODULES), CHROMIUM, str(folder), *paths],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _told(seen: list[dict], what: str) -> list[tuple[str, int, str, object]]:
    return [(s["page"], s["width"], s["scheme"], s[what]) for s in seen if s[what]]


def test_every_page_was_opened_wide_and_narrow_light_and_dark(seen: list[dict]):
    assert len(seen) == 4 * len(PAGES)


def test_no_error_no_request_and_no_dialog(seen: list[dict]):
    assert _told(seen, "errors") == []
    assert _told(seen, "requests") == []


def test_nothing_is_wider_than_the_screen(seen: list[dict]):
    assert _told(seen, "overflow") == []


def test_every_figure_is_seen_whole_and_none_is_empty(seen: list[dict]):
    figures = {(s["page"], s["figures"]) for s in seen}
    assert figures == {
        ("report.html", 23), ("partial.html", 19), ("empty.html", 0), ("index.html", 0),
        ("index_empty.html", 0),
    }  # fmt: skip
    assert _told(seen, "unseen") == []
    assert _told(seen, "empty") == []


def test_contrast_names_and_structure_are_accessible(seen: list[dict]):
    assert _told(seen, "violations") == []


def test_a_report_opens_at_once(seen: list[dict]):
    assert max(s["opened"] for s in seen if s["page"] == "report.html") < 2000
