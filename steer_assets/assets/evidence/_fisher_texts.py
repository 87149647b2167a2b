"""Texts of one arm, as many as the Fisher form asks for, and the gradients of their likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from steer_assets.assets.evidence._read_texts import sampling_of
from steer_assets.assets.vectors.vector_families import read_table
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.geometry.vector_ids import base_id
from steer_assets.pipeline.design import prompt_selection, random_streams, scopes
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.stage import StageRun


@dataclass(frozen=True)
class Point:
    """Where the form is taken: `at` v's dose or unsteered, its arm, and what the arm adds [d]."""

    layer: int
    at: str
    arm: Arm
    added: np.ndarray


@dataclass(frozen=True)
class Gradients:
    """Texts at a point: s [n, d] in nats per unit of the residual stream, and their prompts [n].

    prompts: places in `prompt_ids`. generation_ids: of the first texts, which were generated for
    the verdicts; the others were sampled for the form alone and are not scored.
    """

    point: Point
    values: np.ndarray
    prompts: np.ndarray
    prompt_ids: list[str]
    generation_ids: list[str]


def points_of(run: StageRun, layer: int, dose: float) -> list[Point]:
    """The points of a block that the study asks for."""
    vectors, values = read_table(run)
    v = values[vectors["vector_id"].to_list().index(base_id(layer))]
    of = {
        "steered": Point(layer, "steered", Arm(base_id(layer), dose), dose * v),
        "unsteered": Point(layer, "unsteered", UNSTEERED, np.zeros_like(v)),
    }
    return [of[name] for name in run.study.text_fisher.points]


def gradients_at(run: StageRun, point: Point) -> Gradients:
    """Gradients of the point's texts: those of the verdicts first, prompts taking turns."""
    from steer_assets.lm.forward.intervene import Addition
    from steer_assets.lm.texts.gradients import text_gradients

    wanted = run.study.text_fisher.texts
    model = run.derivative_model()
    tests = prompt_selection.generation_tests(run.rows("prompt_sets"), run.study)
    prompts = prompt_selection.spread_over_environments(tests, len(tests))
    ids = prompt_selection.encoded(model, prompts)
    prompt_ids = prompts["prompt_id"].to_list()
    place = {name: row for row, name in enumerate(prompt_ids)}
    texts = run.rows("generations").filter(
        (pl.col("protocol") == CONTROLLED)
        & (pl.col("vector_id") == point.arm.vector_id)
        & (pl.col("alpha") == point.arm.alpha)
    )
    rows = [
        (sample, place[prompt_id], generation_id, tokens)
        for sample, prompt_id, generation_id, tokens in texts.select(
            "sample", "prompt_id", "generation_id", "token_ids"
        ).iter_rows()
    ]
    rows = sorted(rows)[:wanted]
    found = [(prompt, tokens) for _, prompt, _, tokens in rows]
    found += _more(run, point, ids, prompt_ids, wanted - len(found))
    values = text_gradients(
        model,
        ids,
        found,
        point.layer,
        sampling_of(run),
        scope=scopes.scope_of(run, model),
        arm=(Addition(point.layer, 0, 1.0),) if point.added.any() else (),
        vectors=point.added[None],
        on_progress=run.progress(f"block {point.layer} {point.at}"),
    )
    names = [generation_id for _, _, generation_id, _ in rows]
    return Gradients(point, values, np.array([prompt for prompt, _ in found]), prompt_ids, names)


def _more(
    run: StageRun, point: Point, ids: list[list[int]], names: list[str], missing: int
) -> list[tuple[int, list[int]]]:
    """Texts sampled for the form alone, with noise of their own."""
    from steer_assets.lm.decoding import decode
    from steer_assets.lm.forward.intervene import Addition

    if missing < 1:
        return []
    settings = run.study.generation
    samples = -(-missing // len(ids))
    chosen = range(-(-missing // samples))
    model = run.language_model()
    made = decode.generate(
        model,
        ids,
        [(Addition(point.layer, 0, 1.0),) if point.added.any() else ()],
        point.added[None],
        decode.Sampling(
            max_new_tokens=settings.max_new_tokens,
            n_samples=samples,
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=random_streams.integer(run.study, "text fisher", run.model, run.trait),
        ),
        scope=scopes.scope_of(run, model),
        prompt_keys=names,
        pairs=[(prompt, 0) for prompt in chosen],
        on_progress=run.progress(f"sampling at block {point.layer} {point.at}"),
    )
    return [(text.prompt, text.token_ids) for text in made][:missing]
