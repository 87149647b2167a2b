"""Stage 11: trait scores of the texts."""

import numpy as np
import polars as pl

from steer_assets.assets import scorers
from steer_assets.assets.stage import Produced, Rows, StageRun, stage


@stage(
    dimensions=("model", "trait"),
    group="evidence",
    kinds={"pytorch", "duckdb"},
    code_version="1",
    needs=("generations",),
    settings=("scoring.scorers",),
    sources=scorers.sources,
)
def classifier_scores(run: StageRun) -> Produced:
    """Trait score of every generated text without its prompt; larger is nearer the positive pole.

    Scores are on an open scale (logits), so that a strong text is not squeezed against a bound.
    """
    texts = run.rows("generations")
    parts = []
    for name in run.study.scoring.scorers:
        values = scorers.scorer(name, run.trait).score(texts["text"].to_list())
        parts.append(
            pl.DataFrame(
                {
                    "generation_id": texts["generation_id"],
                    "scorer": name,
                    "score": np.asarray(values, dtype=np.float64),
                }
            )
        )
    frame = pl.concat(parts)
    spread = {
        f"sd of {name}": float(frame.filter(pl.col("scorer") == name)["score"].to_numpy().std())
        for name in run.study.scoring.scorers
    }
    return Produced(
        rows=[Rows("classifier_scores", frame)],
        metadata={"texts": len(texts), **spread},
        metrics={"n_scores": len(frame)},
    )
