"""Stage 10: validation of the scorers on labelled texts."""

import dataclasses

import polars as pl

from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.resources import scorer_heads, scorers
from steer_assets.scoring.scorer import FittedScorer, Scorer
from steer_assets.scoring.validation import Validation
from steer_assets.storage.schema import columns


def read_validation(run: StageRun) -> pl.DataFrame:
    """Validation of every scorer that scored texts of the partition, including judges."""
    fixed, judged = run.rows("scorer_validation"), run.rows("judge_validation")
    return pl.concat([fixed, judged.select(fixed.columns)])


def _validated(judge: Scorer, trait: str) -> Validation:
    from steer_assets.scoring.validation import validate_fixed

    if isinstance(judge, FittedScorer):
        return judge.held_out()
    return validate_fixed(judge, scorer_heads.labelled_texts(trait))


@stage(
    dimensions=("trait",),
    group="evidence",
    kinds={"scikitlearn", "duckdb"},
    code_version="5",
    settings=("scoring.scorers",),
    sources=scorers.sources,
)
def scorer_validation(run: StageRun) -> Produced:
    """AUROC of each scorer on labelled texts of held-out topics, with its interval.

    If the interval of a scorer reaches below the study's floor, every comparison by it is
    untestable. Scorers that prompt the language model are in `judge_validation`.
    """
    asked = scorers.readers(run.study.scoring.scorers)
    there = scorers.available(asked, run.trait, run.layout, run.log)
    found = [_validated(judge, run.trait) for judge in there]
    schema = {field.name: columns("scorer_validation")[field.name] for field in
              dataclasses.fields(Validation)}  # fmt: skip
    frame = pl.DataFrame([dataclasses.asdict(one) for one in found], schema=schema)
    return Produced(
        rows=[Rows("scorer_validation", frame)],
        metadata={f"AUROC of {v.scorer}": v.auroc for v in found},
        metrics={f"auroc_{v.scorer}": v.auroc for v in found},
    )
