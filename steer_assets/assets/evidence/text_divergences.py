"""Stage: how different the whole texts of two arms are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.evidence._read_texts import (
    Compared,
    ReadText,
    compared_arms,
    controlled_texts,
    read,
)
from steer_assets.catalog.traits import ENVIRONMENTS
from steer_assets.pipeline.design import random_streams
from steer_assets.pipeline.design.arms import Arm
from steer_assets.pipeline.design.comparisons import POOLED
from steer_assets.pipeline.stage import Produced, Rows, StageRun, stage
from steer_assets.storage.schema import frame_of

if TYPE_CHECKING:
    from steer_assets.stats.divergences.text_divergences import Divergences, Pair

#: With fewer, one resample in twenty and more has a single prompt, which gives no AUROC.
_FEWEST_PROMPTS = 4
Row = dict[str, object]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _likelihood_rows(compared: Compared, by_arm: dict[Arm, list[ReadText]]) -> Iterator[Row]:
    for arm, others in compared.partners().items():
        for text in by_arm[arm]:
            for other in (arm, *others):
                reading = text.readings[other]
                yield {
                    "generation_id": text.generation_id,
                    "layer": compared.layer,
                    "vector_id": other.vector_id,
                    "alpha": other.alpha,
                    "own": other == arm,
                    "log_probability": _finite(reading.log_p.sum()),
                    "token_kl": _finite(reading.kl.sum()),
                }


def lengths(longest: int) -> list[int]:
    """1, 2, 4, ... tokens, and the longest."""
    return [*(2**i for i in range(longest.bit_length()) if 2**i < longest), longest]


def pair_of(
    arm: Arm, reference: Arm, by_arm: dict[Arm, list[ReadText]], prompts: Sequence[str], n: int
) -> Pair:
    """The first n tokens of the texts of both arms; p is the reference and q the arm."""
    from steer_assets.stats.divergences.text_divergences import Pair

    tables = []
    for own, other in ((reference, arm), (arm, reference)):
        of: dict[str, list[tuple[float, float]]] = {prompt: [] for prompt in prompts}
        for text in by_arm[own]:
            if text.prompt_id in of:
                mine, theirs = text.readings[own], text.readings[other]
                ratio = mine.log_p[:n].sum() - theirs.log_p[:n].sum()
                of[text.prompt_id].append((ratio, theirs.kl[:n].sum()))
        tables.append(np.array([of[prompt] for prompt in prompts]))
    first, second = tables
    return Pair(first[:, :, 0], -second[:, :, 0], first[:, :, 1], second[:, :, 1])


def _estimates(found: Divergences) -> Row:
    estimates = {
        "kl": found.kl,
        "kl_reverse": found.kl_reverse,
        "js": found.js,
        "total_variation": found.total_variation,
        "observer_auroc": found.observer_auroc,
    }
    row: Row = {}
    for name, one in estimates.items():
        values = (None,) * 3 if one is None else (one.value, one.low, one.high)
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
    return row


def _divergence_rows(
    run: StageRun,
    compared: Compared,
    by_arm: dict[Arm, list[ReadText]],
    environment_of: dict[str, str],
) -> Iterator[Row]:
    """Pooled at every length, and whole texts in each environment; where prompts are enough."""
    from steer_assets.stats.divergences import bounds
    from steer_assets.stats.divergences.text_divergences import estimate

    statistics, longest = run.study.statistics, run.study.generation.max_new_tokens
    names = {compared.v: {"family": "base", "null_space": ""}} | dict(compared.others)
    for arm, reference in compared.pairs:
        both = [{text.prompt_id for text in by_arm[one]} for one in (arm, reference)]
        shared = [prompt for prompt in environment_of if all(prompt in own for own in both)]
        wanted = [(POOLED, n) for n in lengths(longest)]
        wanted += [(environment, longest) for environment in ENVIRONMENTS]
        for environment, n in wanted:
            prompts = [p for p in shared if environment in (POOLED, environment_of[p])]
            if len(prompts) < _FEWEST_PROMPTS:
                continue
            pair = pair_of(arm, reference, by_arm, prompts, n)
            # Every arm has the same resamples, so that a copy of a vector has its intervals.
            purpose = (run.model, run.trait, str(compared.layer), environment, str(n))
            found = estimate(
                pair,
                level=statistics.confidence,
                n_boot=statistics.n_boot,
                rng=random_streams.generator(run.study, "text divergences", *purpose),
            )
            yield {
                "layer": compared.layer,
                "vector_id": arm.vector_id,
                **names[arm],
                "reference_id": reference.vector_id,
                "alpha": arm.alpha,
                "environment": environment,
                "n_tokens": n,
                "n_prompts": len(prompts),
                "n_texts": pair.p_ratio.size,
                **_estimates(found),
                "bound_for_any_score": bounds.bound_for_any_score(found),
                "text_verdict": bounds.verdict(found, run.study.text_divergences.margin),
            }


@stage(
    dimensions=("model", "trait"),
    group="evidence",
    kinds={"pytorch", "duckdb"},
    code_version="2",
    needs=("model_snapshot", "prompt_sets", "vector_families", "generations"),
    settings=(
        "seed",
        "numerics",
        "layers.steer",
        "prompts.test",
        "generation",
        "behaviour.steered_alpha",
        "statistics.confidence",
        "statistics.n_boot",
        "text_divergences",
    ),
)
def text_divergences(run: StageRun) -> Produced:
    """Divergences between the whole texts of arms, and the best possible observer of one text.

    The probability of every text under its own arm and under v and the unsteered model is computed
    as it was sampled (temperature, top-p, stop tokens). From these: KL both ways and Jensen-Shannon
    in nats, total variation, and the AUROC of the likelihood ratio, which no observer of one prompt
    and text surpasses; for the first 1, 2, 4, ... tokens and for whole texts. Total variation
    bounds the difference in mean of every score of a text, as a share of its range: `certified`
    where the bound lies below the study's margin, `distinguishable` where total variation lies
    above it. Arms share their noise, and intervals are over prompts. At temperature 0 nothing is
    sampled, and the tables are empty.
    """
    settings = run.study.text_divergences
    likelihoods: list[Row] = []
    divergences: list[Row] = []
    if run.study.generation.temperature > 0:
        texts = controlled_texts(run, settings.prompts, settings.samples)
        environment_of = dict(
            texts.select("prompt_id", "environment").unique(maintain_order=True).iter_rows()
        )
        of_layers = [
            compared
            for layer in run.steer_layers()
            if (compared := compared_arms(run, texts, layer, settings.families)) is not None
        ]
        by_arm = read(run, texts, of_layers) if of_layers else {}
        for compared in of_layers:
            likelihoods += _likelihood_rows(compared, by_arm)
            divergences += _divergence_rows(run, compared, by_arm, environment_of)
    frame = frame_of("text_divergences", divergences)
    whole = frame.filter(
        (pl.col("environment") == POOLED)
        & (pl.col("n_tokens") == run.study.generation.max_new_tokens)
    )
    verdicts = dict(whole.group_by("text_verdict").len().sort("text_verdict").iter_rows())
    return Produced(
        rows=[
            Rows("text_divergences", frame),
            Rows("text_likelihoods", frame_of("text_likelihoods", likelihoods)),
        ],
        metadata={"readings": len(likelihoods), **verdicts},
        metrics={"n_readings": len(likelihoods)},
    )
