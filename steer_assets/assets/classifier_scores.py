"""Stage 11: trait scores of the texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets import scorers
from steer_assets.assets.stage import Produced, Rows, StageRun, stage
from steer_assets.catalog.protocols import CONTROLLED

if TYPE_CHECKING:
    from steer_assets.scoring.protocol import Scorer


def _scored(judge: Scorer, texts: pl.DataFrame, read: pl.Expr) -> pl.DataFrame:
    values = judge.score(texts.select(read).to_series().to_list()) if len(texts) else np.empty(0)
    return pl.DataFrame(
        {
            "generation_id": texts["generation_id"],
            "scorer": pl.Series([judge.name] * len(texts), dtype=pl.String),
            "score": np.asarray(values, dtype=np.float64),
        }
    )


@stage(
    dimensions=("model", "trait"),
    group="evidence",
    kinds={"pytorch", "duckdb"},
    code_version="2",
    needs=("generations",),
    settings=("scoring.scorers",),
    sources=scorers.sources,
)
def classifier_scores(run: StageRun) -> Produced:
    """Trait score of every generated text without its prompt; larger is nearer the positive pole.

    Scores are on an open scale (logits), so that a strong text is not squeezed against a bound.
    `prompted_scores` has prompt and text scored together, for protocols that did so.
    """
    texts = run.rows("generations")
    switched = texts.filter(pl.col("protocol") != CONTROLLED)
    parts, prompted = [], []
    for name in run.study.scoring.scorers:
        judge = scorers.scorer(name, run.trait)
        parts.append(_scored(judge, texts, pl.col("text")))
        together = pl.concat_str("prompt", "text", separator=" ")
        prompted.append(_scored(judge, switched, together))
    frame = pl.concat(parts)
    spread = {
        f"sd of {name}": float(frame.filter(pl.col("scorer") == name)["score"].to_numpy().std())
        for name in run.study.scoring.scorers
    }
    return Produced(
        rows=[
            Rows("classifier_scores", frame),
            Rows("prompted_scores", pl.concat(prompted)),
        ],
        metadata={"texts": len(texts), **spread},
        metrics={"n_scores": len(frame)},
    )
