import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
import yaml

from steer_assets.catalog.studies import Study
from steer_assets.paths import CATALOG
from steer_assets.reporting.evidence import Evidence
from steer_assets.reporting.pages.report import Report, _looks, render_report
from tests.tiny import few_figures

Change = Callable[..., Evidence]


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._hidden else data

    def values(self, *names: str) -> list[str]:
        return [v for _, attrs in self.tags for n in names if (v := attrs.get(n)) is not None]


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return Page(report.html)


def test_every_figure_is_there_with_caption_and_alternative_text(report: Report, page: Page):
    assert [f.name for f in report.figures] == [
        "calibration",
        "efficacy_layers",
        "alpha_curves",
        "forest",
        "environments",
        "prompts",
        "heterogeneity",
        "dose_response",
        "dose_around_v",
        "radii",
        "kl_prediction",
        "observers",
        "text_law",
        "null_fraction",
        "null_energy",
        "spectra_covariance",
        "spectra_behaviour",
        "saturation",
        "persistence",
        "scorers",
        "agreement",
        "fluency",
        "protocols",
    ]
    charts = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert [c["aria-label"] for c in charts] == [f.alt for f in report.figures]
    bare = page.text.replace("\u00a0", " ")
    assert all(f.caption in bare for f in report.figures)
    assert all(f.data.height > 0 for f in report.figures)


def test_same_evidence_gives_the_same_bytes_in_another_process(evidence: Evidence):
    code = (
        "import hashlib\n"
        "from tests.reporting import synthetic\n"
        "from steer_assets.reporting.pages.report import render_report\n"
        "from tests.tiny import few_figures\n"
        "with few_figures():\n"
        "    html = render_report(synthetic.build_evidence()).html\n"
        "print(hashlib.sha256(html.encode()).hexdigest())"
    )
    here = Path(__file__).parent
    environment = os.environ | {
        "PYTHONHASHSEED": "123",
        "PYTHONPATH": str(here.parents[1]),
    }
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    with few_figures():
        html = render_report(evidence).html
    assert run.stdout.strip() == sha256(html.encode()).hexdigest()


def test_nothing_is_loaded_from_anywhere_and_no_script_runs(report: Report, page: Page):
    assert not [tag for tag, _ in page.tags if tag in ("script", "iframe", "img", "object")]
    assert {link for link in page.values("href", "src") if not link.startswith("#")} == {"data:,"}
    assert not re.findall(r"@import|url\((?!#)", report.html)
    (policy,) = [c for c in page.values("content") if "default-src" in c]
    assert "default-src 'none'" in policy
    assert "script-src 'none'" in policy


def test_ids_are_unique_and_every_reference_has_its_target(report: Report, page: Page):
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    wanted = {h[1:] for h in page.values("href") if h.startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", report.html))
    wanted |= set(page.values("aria-labelledby"))
    assert wanted <= set(ids)


def test_steered_text_is_shown_and_not_obeyed(report: Report, page: Page):
    assert "Dear Sir <script>alert('x')</script> **bold** ⟨ESC⟩[31mred⟨ESC⟩[0m" in page.text
    assert '⟨U+202E⟩tfel & "quoted"' in page.text
    assert not re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", report.html)


def test_page_is_small(report: Report):
    assert len(report.html.encode()) < 3_000_000


def test_a_newcomer_finds_the_numbers_that_matter(evidence: Evidence, page: Page):
    text = page.text.replace("\u00a0", " ")
    row = evidence.reports.row(0, named=True)
    shown = [f"{row[c]:.2f}" for c in ("efficacy", "efficacy_low", "efficacy_high")]
    assert f"v steers towards formal: {shown[0]} [{shown[1]}, {shown[2]}] SD (95% interval)" in text
    assert "71% of directions (sampling floor: 66%); the rank grew by" in text
    assert evidence.command in text
    assert "root seed 20260206" in text
    assert "0f" * 32 in text
    assert "torch 2.13.0" in text


def test_published_conclusions_are_summed_up_in_a_sentence(page: Page):
    text = page.text.replace("\u00a0", " ")
    assert "Of the 5 that hold as published, 1 survives." in text
    assert "That spanning holds as published and fails when controlled." in text
    assert "Every number, with each switch off alone" in text


def test_the_deciding_scorer_is_the_first_that_could_be_had(evidence: Evidence):
    scoring = {**evidence.study["scoring"], "scorers": ["bart-mnli", "minilm", "lm-judge"]}
    other = replace(evidence, study={**evidence.study, "scoring": scoring})
    assert other.scorer == "minilm"
    with few_figures():
        text = Page(render_report(other).html).text
    assert "minilm decides; not available here: bart-mnli and lm-judge" in text
    assert "The scorer bart-mnli of the study scored no text" in text


def test_no_report_says_non_identifiable(report: Report):
    assert not re.search(r"non.?identifiable|not identifiable", report.html, re.IGNORECASE)


def test_a_report_of_nothing_says_what_is_absent(evidence: Evidence, changed: Change):
    empty = changed(**dict.fromkeys(evidence.tables))
    report = render_report(empty)
    page = Page(report.html)
    assert report.figures == []
    assert not [tag for tag, _ in page.tags if tag == "svg"]
    assert "No verdict on formality" in page.text
    assert page.text.count("Not shown:") == 22 + 2  # figures, texts, verdicts by protocol
    assert "The published procedure (protocol “reference”) was not run" in page.text
    for name in ("models", "equivalence_reports", "steering_vectors", "generations"):
        assert f"The table {name} has no rows." in page.text


def test_missing_parts_are_named_in_place(evidence: Evidence, changed: Change):
    tests = evidence.table("equivalence_tests").filter(pl.col("layer") == 15)
    reports = evidence.table("equivalence_reports").filter(pl.col("layer") == 15)
    reports = reports.with_columns(
        verdict=pl.lit("untestable"), reason=pl.lit("the base vector shows no effect")
    )
    partial = changed(
        equivalence_tests=tests,
        equivalence_reports=reports,
        svd_spectra=None,
        classifier_scores=evidence.table("classifier_scores").clear(),
    )
    with few_figures("covariance", "heterogeneity", "forest"):
        report = render_report(partial)
    text = Page(report.html).text
    assert "The study steers layer 20, but no verdict is stored for it." in text
    assert "Layer 20 has no verdict." in text
    assert "the verdict is untestable" in text
    assert "Reason: the base vector shows no effect." in text
    assert "No pooled spectrum of the activation covariance is stored." in text
    assert "not scored" in text
    names = {f.name: f for f in report.figures}
    assert set(names) == {"forest", "protocols"}
    assert names["forest"].caption.endswith("No rows are stored for layer 20.")


def test_a_study_from_the_catalog_is_understood(evidence: Evidence, changed: Change):
    raw = yaml.safe_load((CATALOG / "studies" / "quick.yaml").read_text())
    study = Study.model_validate(raw).model_dump(mode="json")
    models_only = changed(**{t: None for t in evidence.tables if t != "models"})
    text = Page(render_report(replace(models_only, study=study)).html).text
    assert "15, 20 (block outputs)" in text
    assert "1, 2" in text


def test_further_texts_are_told_where_a_study_has_them():
    assert "count in p-values and not in effects" in _looks([0.5, 1.0], 1.5)
    assert "further" not in _looks([0.5, 1.0], 1.0)
