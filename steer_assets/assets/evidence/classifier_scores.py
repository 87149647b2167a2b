"""Stage 11: trait scores of the texts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import polars as pl

from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.pipeline.design import thinking
from steer_assets.pipeline.design.judge import make_judge
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.resources import scorer_heads, scorers
from steer_assets.scoring.labelled import validation_texts
from steer_assets.scoring.scorer import score_once
from steer_assets.scoring.validation import Validation, validate_fixed
from steer_assets.storage.schema import columns

if TYPE_CHECKING:
    from steer_assets.scoring.scorer import Scorer

_NO_SCORES = pl.DataFrame(
    schema={"generation_id": pl.String, "scorer": pl.String, "score": pl.Float64}
)


def _scored(judge: Scorer, texts: pl.DataFrame, read: pl.Expr) -> pl.DataFrame:
    """A score for every text; equal texts are scored once, which makes their scores equal.

    Texts without the part that is read have none.
    """
    texts = texts.drop_nulls(thinking.READ)
    words = texts.select(read).to_series().to_list()
    return pl.DataFrame(
        {
            "generation_id": texts["generation_id"],
            "scorer": pl.Series([judge.name] * len(texts), dtype=pl.String),
            "score": pl.Series(score_once(judge, words), dtype=pl.Float64),
        }
    )


def _judged(run: StageRun, voting: list[Scorer]) -> pl.DataFrame:
    """AUROC of the scorers that prompt the language model."""
    judges = scorers.judges(run.study.scoring.scorers)
    asked = [judge for judge in voting if judge.name in judges]
    texts = validation_texts(scorer_heads.labelled_texts(run.trait)) if asked else []
    found = [validate_fixed(judge, texts) for judge in asked]
    names = [field.name for field in dataclasses.fields(Validation)]
    schema = {name: columns("judge_validation")[name] for name in names}
    return pl.DataFrame([dataclasses.asdict(one) for one in found], schema=schema)


@stage(
    dimensions=("model", "trait"),
    group="evidence",
    kinds={"pytorch", "duckdb"},
    code_version="5",
    needs=("model_snapshot", "generations"),
    settings=("numerics", "scoring.scorers"),
    sources=scorers.sources,
)
def classifier_scores(run: StageRun) -> Produced:
    """Trait score of every generated text without its prompt; higher is nearer the positive pole.

    Of a reasoning model the part after the section of thinking is read, or what `thinking.scored`
    names; a text without it has no score. Scores are unbounded (logits), which avoids saturation
    for texts with a strong trait. `prompted_scores` scores prompt and text together, for protocols
    that do so.
    """
    texts = thinking.with_read(run, run.rows("generations"))
    switched = texts.filter(pl.col("protocol") != CONTROLLED)
    names = run.study.scoring.scorers
    asked = make_judge(run) if scorers.judges(names) else None
    voting = scorers.available(names, run.trait, run.layout, run.log, asked)
    parts, prompted = [], []
    if not voting:
        run.log.warning("no scorer scores these texts: the report is made without scores")
    if why := thinking.unread(texts):
        run.log.warning(why)
    for judge in voting:
        parts.append(_scored(judge, texts, pl.col(thinking.READ)))
        together = pl.concat_str("prompt", thinking.READ, separator=" ")
        prompted.append(_scored(judge, switched, together))
    frame = pl.concat([_NO_SCORES, *parts])
    spread = {
        f"sd of {judge.name}": float(part["score"].to_numpy().std())
        for judge, part in zip(voting, parts, strict=True)
        if len(part)
    }
    missing = texts[thinking.READ].null_count()
    return Produced(
        rows=[
            Rows("classifier_scores", frame),
            Rows("prompted_scores", pl.concat([_NO_SCORES, *prompted])),
            Rows("judge_validation", _judged(run, voting)),
        ],
        metadata={
            "texts": len(texts),
            **({"texts without a score": missing} if missing else {}),
            **spread,
        },
        metrics={"n_scores": len(frame)},
    )
