"""Stage 10: can the scorers tell the poles apart at all?"""

import dataclasses

import polars as pl

from steer_assets.assets import scorers
from steer_assets.assets.stage import Produced, Rows, StageRun, stage


@stage(
    dimensions=("trait",),
    group="evidence",
    kinds={"scikitlearn", "duckdb"},
    code_version="1",
    settings=("scoring.scorers",),
    sources=scorers.sources,
)
def scorer_validation(run: StageRun) -> Produced:
    """AUROC of each scorer on labelled texts of topics it was not fitted on, with its interval.

    A scorer whose interval reaches below the study's floor makes every comparison by it untestable.
    """
    from steer_assets.scoring.minilm import validate_by_topic

    labelled = scorers.labelled_texts(run.trait)
    found = [validate_by_topic(run.trait, labelled, scorers.encoder())]
    frame = pl.DataFrame([dataclasses.asdict(validation) for validation in found])
    return Produced(
        rows=[Rows("scorer_validation", frame)],
        metadata={f"AUROC of {v.scorer}": v.auroc for v in found},
        metrics={f"auroc_{v.scorer}": v.auroc for v in found},
    )
