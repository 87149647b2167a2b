"""The page over models: what it embeds. How it looks and scrolls is tested in a browser."""

import json
import re

import polars as pl

from steer_assets.reporting.pages.index import render_index
from steer_assets.reporting.pages.models import render_models
from tests.reporting.synthetic import HOSTILE, table

VERDICTS = ("equivalent", "different", "inconclusive", "untestable")


def summary(n_models: int, n_traits: int, layers: tuple[int, ...] = (15, 20)) -> pl.DataFrame:
    """Verdicts of every kind over models, traits and layers."""
    rows = [
        {
            "model": f"model-{i:03}", "trait": f"trait-{j:03}", "layer": layer, "scorer": "minilm",
            "protocol": "controlled", "verdict": VERDICTS[(i + j + k) % 4],
            "efficacy": 0.01 * (i % 90) + 0.1 * k, "efficacy_low": 0.0, "efficacy_high": 1.0,
        }
        for i in range(n_models) for j in range(n_traits) for k, layer in enumerate(layers)
    ]  # fmt: skip
    return table("identifiability_summary", rows)


def sizes(n_models: int) -> dict[str, int]:
    return {f"model-{i:03}": int(1e7 * 1.02**i) for i in range(n_models)}


def _data(html: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)
    return json.loads(text)


def test_every_verdict_is_in_the_page_once_by_scorer() -> None:
    rows = summary(3, 2)
    other = rows.with_columns(pl.lit("words").alias("scorer"))
    reference = rows.with_columns(pl.lit("reference").alias("protocol"))
    data = _data(render_models(pl.concat([rows, other, reference]), sizes(2)))
    assert [s["scorer"] for s in data["scorers"]] == ["minilm", "words"]
    first = data["scorers"][0]
    seen = {
        (data["models"][m][1], data["traits"][t][1], layer, data["verdicts"][v][0])
        for m, t, layer, v in zip(first["m"], first["t"], first["layer"], first["v"], strict=True)
    }
    assert seen == set(rows.select("model", "trait", "layer", "verdict").iter_rows())
    assert [size for _, _, size in data["models"]] == [10_000_000, 10_200_000, 0]


def test_hostile_names_end_no_script_and_are_shown_as_text() -> None:
    rows = summary(1, 1).with_columns(pl.lit(f"</script>{HOSTILE}").alias("trait"))
    html = render_models(rows, {})
    assert html.count("</script>") == 2
    assert _data(html)["traits"][0][1] == f"</script>{HOSTILE}"


def test_an_index_of_very_many_rows_leaves_them_to_the_matrix() -> None:
    stale = pl.DataFrame({"asset": []}, schema={"asset": pl.String})
    html = render_index(summary(40, 50), stale, {})
    assert len(html) < 40_000
    assert 'href="models.html"' in html
    assert "40 models, 50 traits" in html
