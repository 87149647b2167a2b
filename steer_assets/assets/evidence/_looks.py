"""Texts of a study with several looks: after each, families that are decided get no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.evidence._texts import Texts
from steer_assets.catalog.studies import Study
from steer_assets.pipeline.design import looks, thinking
from steer_assets.pipeline.design.arms import Arm
from steer_assets.pipeline.design.comparisons import tested_environments
from steer_assets.pipeline.design.judge import make_judge
from steer_assets.pipeline.stage import StageRun
from steer_assets.resources import scorers
from steer_assets.storage.files.hashing import hash_json
from steer_assets.storage.layout import PartitionKey
from steer_assets.storage.schema import frame_of

if TYPE_CHECKING:
    from steer_assets.scoring.scorer import Scorer

#: Settings by which a look decides.
_SETTINGS = (
    "scoring.scorers",
    "statistics.margin_sd",
    "statistics.confidence",
    "statistics.significance",
    "statistics.n_boot",
)


def sources(key: PartitionKey, study: Study) -> dict[str, str]:
    """What else texts depend on where there are several looks: on what scores them."""
    if len(study.generation.looks) == 1:
        return {}
    settings = {name: hash_json(value) for name, value in study.settings(_SETTINGS).items()}
    return {**scorers.sources(key, study), **settings}


def no_decisions() -> pl.DataFrame:
    """Rows of `look_decisions` where nothing is decided before the last look."""
    return frame_of("look_decisions", [])


def counted(decisions: pl.DataFrame) -> dict[str, int]:
    """Families by how they stopped."""
    stopped = decisions.filter(pl.col("decision") != "open")["decision"]
    return {f"families {name}": n for name, n in sorted(stopped.value_counts().iter_rows())}


def in_looks(
    run: StageRun,
    texts: Texts,
    prompts: pl.DataFrame,
    vectors: pl.DataFrame,
    last: Mapping[Arm, int],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of `generations` and of `look_decisions`.

    prompts: those of `texts`. vectors: vector_id, family, null_space and layer of its arms.
    last: the last look that the study gives an arm.
    """
    from steer_assets.assets.evidence._look_decisions import Decisions

    look_of = looks.look_of_prompts(prompts, run.study)
    known = looks.families(vectors, texts.arms)
    reader = _Reader(_scorer(run))
    decisions = Decisions(run.study, known, tested_environments(prompts), reader.name)
    made: list[pl.DataFrame] = []
    scored: list[pl.DataFrame] = []
    going_at: dict[int, set[Arm]] = {}
    for look, share in enumerate(run.study.generation.looks, start=1):
        going = going_at[look] = looks.going_on(look, texts.arms, known, decisions.closed, last)
        pairs = [pair for pair in texts.pairs if look_of[pair[0]] == look and pair[1] in going]
        if not pairs:
            continue
        more: set[Arm] = set()
        n = 0
        if look == len(run.study.generation.looks):
            every = [(look_of[prompt], arm) for prompt, arm in texts.pairs]
            still = [family for family in known if family not in decisions.closed]
            more, n = looks.further_samples(every, going_at, still, last, run.study)
        made.append(texts.of(pairs, look, f", look {look}", more=more, n_more=n))
        if reader.name:
            found = thinking.sections(run.language_model(), prompts, made[-1])
            scored.append(reader.scored(thinking.read_part(made[-1], found, run.study)))
            told = decisions.after(look, pl.concat(scored), going)
            run.log.info(f"look {look}, {share:.0%} of the prompts: {told}")
    return pl.concat(made), frame_of("look_decisions", decisions.rows)


def _scorer(run: StageRun) -> Scorer | None:
    """The scorer that decides: the first of the study that can be had."""
    names = run.study.scoring.scorers
    asked = make_judge(run) if scorers.judges(names[:1]) else None
    found = scorers.first(names, run.trait, run.layout, run.log, asked)
    if found is None:
        run.log.warning("all looks are made, because no scorer can read their texts")
    return found


class _Reader:
    """Scores of texts by what is read of them; equal texts are scored once."""

    def __init__(self, judge: Scorer | None) -> None:
        self._judge = judge
        self.name = judge.name if judge else ""
        self._of: dict[str, float] = {}

    def scored(self, texts: pl.DataFrame) -> pl.DataFrame:
        """The columns that comparisons read, with the score, of texts that have what is read."""
        assert self._judge is not None
        texts = texts.drop_nulls(thinking.READ)
        words = texts[thinking.READ].to_list()
        new = [text for text in dict.fromkeys(words) if text not in self._of]
        if new:
            scores = np.asarray(self._judge.score(new), dtype=np.float64)
            self._of |= dict(zip(new, scores.tolist(), strict=True))
        return texts.select(
            "vector_id", "alpha", "environment", "prompt_id", "sample", "look"
        ).with_columns(score=pl.Series([self._of[text] for text in words], dtype=pl.Float64))
