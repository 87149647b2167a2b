"""What v does at several blocks and doses: divergence of the next token, scores, and fluency.

Cost in tokens, of b blocks (6 candidates), n prompts (24) of length t, m texts (20) of s tokens
(16), k doses (2). Prompts are run once, n t tokens. The search: at most 8 rounds, often 3 to 5, of
at most 4 b n single tokens through the blocks above v; the final sweep: k b n. Texts: m s (k b + 1)
tokens decoded, and those of 8 prompts read once more for their perplexity. With 40 tokens a prompt
that is about 1,000 tokens read, 2,000 single ones, 4,200 decoded and 1,700 read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.pipeline.design import prompt_selection, random_streams, scopes, thinking
from steer_assets.pipeline.design.judge import make_judge
from steer_assets.pipeline.stage import StageRun
from steer_assets.resources import scorers
from steer_assets.scoring.scorer import score_once

if TYPE_CHECKING:
    from steer_assets.lm.forward.intervene import Addition
    from steer_assets.lm.measurements.prepared import PreparedPrompts
    from steer_assets.scoring.scorer import Scorer


#: Fewest prompts that every arm has answered.
FEWEST_ANSWERED = 4
#: Prompts whose texts are read again for their perplexity, which takes as long as writing them.
_PERPLEXITIES = 8


class NoCalibrationError(ValueError):
    """Verdicts leave too few prompts over, no scorer scores texts of the trait, or few answer."""


@dataclass(frozen=True, slots=True)
class Point:
    """A dose of v at one block, by the block's position among the vectors."""

    block: int
    alpha: float


@dataclass(frozen=True, slots=True)
class Direction:
    """v [d] of one block, and the mean length of the residual stream it is added to."""

    values: np.ndarray
    residual: float

    @property
    def guess(self) -> float:
        """A dose to begin the search with: half as long as the residual stream."""
        return 0.5 * self.residual / float(np.linalg.norm(self.values))


@dataclass(frozen=True, slots=True)
class Texts:
    """What was read from the texts of every point: [points, prompts], beside unsteered texts.

    effects: score minus that of the unsteered text of the same prompt. unit: standard deviation of
    the unsteered scores. perplexity_ratio: of the first prompts only.
    """

    scorer: str
    effects: np.ndarray
    unit: float
    perplexity_ratio: np.ndarray
    repetition: np.ndarray


@dataclass(frozen=True, slots=True)
class _Text:
    """The scored part of a text, the place of its prompt, and the tokens before the part."""

    prompt: int
    before: tuple[int, ...]
    read: str


@dataclass(frozen=True)
class Sweep:
    """v [n, d] of n blocks, on prompts of the calibration split."""

    run: StageRun
    layers: list[int]
    vectors: np.ndarray
    prompts: pl.DataFrame

    def divergences(self, points: Sequence[Point], step: str) -> np.ndarray:
        """KL(unsteered || steered) of the next token in nats, [points, prompts]."""
        from steer_assets.geometry.kl import kl_from
        from steer_assets.lm.progress import Meter

        prepared = self._prepared
        kl = np.empty((len(points), len(self.prompts)))
        meter = Meter(self.run.progress(step), kl.size, "distributions")
        for prompt, point, logits in prepared.steered(
            [self._arm(point) for point in points], self.vectors
        ):
            kl[point, prompt] = kl_from(logits[None], prepared.unsteered[prompt])[0]
            meter.advance(1)
        return kl

    @cached_property
    def _prepared(self) -> PreparedPrompts:
        from steer_assets.lm.measurements.prepared import PreparedPrompts

        model = self.run.derivative_model()  # steps of half precision are no divergence
        ids = prompt_selection.encoded(model, self.prompts)
        return PreparedPrompts(model, ids, self.layers, scope=scopes.scope_of(self.run, model))

    def texts(self, points: Sequence[Point], n_prompts: int) -> Texts:
        """Scores and fluency of one text per point and prompt, of the first prompts.

        Of a reasoning model, prompts are left out of which a text lacks the part that is scored.

        Raises:
            NoCalibrationError: fewer than four prompts are left.
        """
        written = self._answered(self._written(points, n_prompts))
        judge = _scorer(self.run)
        assert judge is not None
        every = [text.read for row in written for text in row]
        scores = score_once(judge, every).reshape(len(written), -1)
        perplexity, repetition = self._fluency(written)
        # Scores of unsteered texts that are all the same give no unit of their own.
        unit = float(scores[0].std(ddof=1)) or float(scores.std()) or 1.0
        return Texts(
            judge.name,
            scores[1:] - scores[0],
            unit,
            perplexity[1:] / perplexity[0],
            repetition[1:] - repetition[0],
        )

    def _arm(self, point: Point) -> tuple[Addition, ...]:
        from steer_assets.lm.forward.intervene import Addition

        return (Addition(self.layers[point.block], point.block, point.alpha),)

    def _answered(self, written: list[list[_Text | None]]) -> list[list[_Text]]:
        """Texts of the prompts of which each arm's has the part that is scored."""
        by_prompt = [own for own in zip(*written, strict=True) if None not in own]
        if len(by_prompt) < min(FEWEST_ANSWERED, len(written[0])):
            raise NoCalibrationError(
                f"{len(by_prompt)} of {len(written[0])} prompts of the calibration have an answer "
                "in every arm: raise calibration.max_new_tokens, so that sections of thinking "
                "close, or set thinking.enable to false"
            )
        return [list(own) for own in zip(*by_prompt, strict=True)]

    def _written(self, points: Sequence[Point], n_prompts: int) -> list[list[_Text | None]]:
        """Texts by arm, the unsteered one first, and by prompt; arms share random numbers."""
        from steer_assets.lm.decoding import decode

        run, model = self.run, self.run.language_model()
        prompts = self.prompts.head(n_prompts)
        sampling = decode.Sampling(
            max_new_tokens=run.study.calibration.max_new_tokens,
            temperature=run.study.generation.temperature,
            top_p=run.study.generation.top_p,
            seed=random_streams.integer(run.study, "calibration", run.model, run.trait),
        )
        made = decode.generate(
            model,
            prompt_selection.encoded(model, prompts),
            [(), *(self._arm(point) for point in points)],
            self.vectors,
            sampling,
            scope=scopes.scope_of(run, model),
            prompt_keys=prompts["prompt_id"].to_list(),
            batch_rows=run.study.generation.batch_rows,
            on_progress=run.progress("texts"),
        )
        inside = prompt_selection.inside_thinking(model, prompts)
        texts: list[list[_Text | None]] = [[None] * len(prompts) for _ in range(len(points) + 1)]
        for one in made:
            found = thinking.part_of(
                model, one.token_ids, one.text, run.study, inside=inside[one.prompt]
            )
            if found is not None:
                before = tuple(one.token_ids[: found.n_before])
                texts[one.arm][one.prompt] = _Text(one.prompt, before, found.read)
        return texts

    def _fluency(self, written: list[list[_Text]]) -> tuple[np.ndarray, np.ndarray]:
        """Perplexity under the unsteered model of the first texts, and repetition of all.

        Each [arms, prompts].
        """
        from steer_assets.lm.measurements.likelihood import log_probabilities, text_ids
        from steer_assets.scoring import fluency

        model = self.run.language_model()
        repetition = [[fluency.fluency(text.read).repetition for text in row] for row in written]
        places = [text for row in written for text in row[:_PERPLEXITIES]]
        distinct = list(dict.fromkeys(places))
        log_p = log_probabilities(
            model,
            prompt_selection.encoded(model, self.prompts),
            [(one.prompt, [*one.before, *text_ids(model, one.read)]) for one in distinct],
            on_progress=self.run.progress("perplexity"),
        )
        of = {
            one: fluency.perplexity(values[len(one.before) :].tolist())
            for one, values in zip(distinct, log_p, strict=True)
        }
        perplexity = np.array([of[place] for place in places]).reshape(len(written), -1)
        return perplexity, np.array(repetition)


def _scorer(run: StageRun) -> Scorer | None:
    """The first scorer of the study that reads texts by itself, else the model as its own judge."""
    names = run.study.scoring.scorers
    others = scorers.readers(names)
    asked = None if others else make_judge(run)
    return scorers.first(others or names, run.trait, run.layout, run.log, asked)


def no_scorer(run: StageRun) -> str:
    """Why nothing scores the texts of a sweep, in a sentence; empty where something does."""
    if _scorer(run):
        return ""
    return f"no scorer of {run.study.study} scores texts of {run.trait}"
