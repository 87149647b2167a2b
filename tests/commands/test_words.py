"""A run ends with what was found, in words."""

from pathlib import Path

import polars as pl

from steer_assets.commands.verdicts import in_words
from steer_assets.storage.files.parquet import write_part
from steer_assets.storage.layout import Layout


def test_decided_and_open_blocks_are_told_apart(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    rows = [
        {"model": "toy", "trait": "sentiment", "protocol": protocol, "scorer": scorer,
         "layer": layer, "verdict": verdict, "n_texts": n}
        for protocol, scorer, layer, verdict, n in (
            ("controlled", "minilm", 20, "different", 450),
            ("controlled", "minilm", 15, "equivalent", 1500),
            ("controlled", "minilm", 10, "untestable", None),
            ("controlled", "other", 15, "different", 1500),
            ("reference", "minilm", 15, "different", 90),
        )
    ]  # fmt: skip
    write_part(
        layout.part("identifiability_summary", {}), pl.DataFrame(rows), frozenset({"n_texts"})
    )
    assert in_words(layout, ["toy"], ["sentiment"], 0.2) == [
        "toy, sentiment: at block 15 v + v_perp is shown to act like v, within 0.2 standard "
        "deviations (1500 texts); at block 20 v + v_perp is shown to act differently from v "
        "(450 texts); at block 10 nothing can be said of v + v_perp"
    ]
    assert in_words(layout, ["toy"], ["formality"], 0.2) == []
