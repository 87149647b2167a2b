import base64
import hashlib
import re

import polars as pl
import pytest

from steer_assets.reporting.pages.index import render_index

from .synthetic import table

NO_STALE = pl.DataFrame({"asset_key": [], "reason": []}, schema_overrides={"asset_key": pl.String})


def _summary() -> pl.DataFrame:
    def row(model: str, trait: str, layer: int, verdict: str, efficacy: float) -> dict:
        return {
            "model": model, "trait": trait, "layer": layer, "verdict": verdict,
            "efficacy": efficacy, "efficacy_low": efficacy - 0.2, "efficacy_high": efficacy + 0.2,
            "null_fraction_fisher": 0.7, "sampling_floor_fisher": 0.6,
            "null_fraction_covariance": 0.8, "sampling_floor_covariance": 0.58,
        }  # fmt: skip

    return table(
        "identifiability_summary",
        [
            row("tiny", "formality", 15, "equivalent", 0.9),
            row("tiny", "formality", 20, "different", 0.8),
            row("tiny", "sentiment", 15, "untestable", -0.05),
            row("big", "formality", 7, "inconclusive", 0.4),
        ],
    )


REPORTS = {("tiny", "formality"): "reports/tiny/formality.html"}


def test_every_partition_has_its_cell_and_its_link():
    html = render_index(_summary(), NO_STALE, REPORTS)
    assert "2 models, 2 traits: 1 equivalent, 1 different, 1 inconclusive, 1 untestable." in html
    assert html.count('href="reports/tiny/formality.html"') == 1 + 2  # heat map and two rows
    assert html.count('<span class="none">not run</span>') == 1  # big x sentiment
    assert "Every artifact is up to date." in html
    assert "v moves the score by 0.90 [0.70, 1.10] SD" in html


def test_sort_keys_are_the_numbers_and_not_their_words():
    html = render_index(_summary(), NO_STALE, REPORTS)
    assert 'data-sort="-0.05">−0.05 [−0.25, 0.15]' in html
    assert 'data-sort="0.8">80% (58%)' in html


def test_only_the_page_s_own_script_may_run():
    html = render_index(_summary(), NO_STALE, REPORTS)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in html


def test_hostile_keys_and_paths_are_text():
    summary = _summary().with_columns(model=pl.lit('"><script>x</script>'))
    links = {('"><script>x</script>', "formality"): "javascript:alert(1)//é #?.html"}
    html = render_index(summary, NO_STALE, links)
    assert html.count("<script>") == 1
    assert 'href="javascript:' not in html
    assert "javascript%3Aalert%281%29//%C3%A9%20%23%3F.html" in html


def test_stale_artifacts_are_listed_with_their_reasons():
    stale = pl.DataFrame(
        {"asset_key": ["generations"], "reason": ["study/quick changed <generation.samples>"]}
    )
    html = render_index(_summary(), stale, REPORTS)
    assert "1 artifact would be made differently today" in html
    assert "study/quick changed &lt;generation.samples&gt;" in html


def test_an_empty_warehouse_says_so():
    html = render_index(_summary().clear(), NO_STALE, {})
    assert "No model and trait has been run yet." in html
    assert "No verdicts are stored." in html


@pytest.mark.parametrize("protocol", ["controlled", "reference"])
def test_heat_map_shows_the_controlled_protocol_where_there_is_one(protocol: str):
    summary = _summary().filter(pl.col("layer") == 15, pl.col("trait") == "formality")
    other = summary.with_columns(protocol=pl.lit(protocol), verdict=pl.lit("different"))
    html = render_index(pl.concat([summary, other]), NO_STALE, {})
    heat = html[html.index("<main") : html.index('id="table-title"')]
    assert heat.count("chip-different") == (2 if protocol == "controlled" else 1)  # with legend
