"""Texts of one arm, as many as the Fisher form asks for, and the gradients of their likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.evidence._parts_of_texts import found_for_texts
from steer_assets.assets.evidence._read_texts import sampling_of
from steer_assets.assets.vectors.vector_families import read_table
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.geometry.vector_ids import base_id
from steer_assets.pipeline.design import prompt_selection, random_streams, scopes
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.stage import StageRun

if TYPE_CHECKING:
    from steer_assets.geometry.null_spaces.spectra import Spectrum


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


_Texts = tuple[list[tuple[int, list[int]]], list[str]]
"""Prompts' places and tokens of an arm's texts, and the ids of those of the verdicts."""


def rank_of(run: StageRun, spectrum: Spectrum) -> int:
    """Rank of a form of whole texts, by the estimator that the study names for the Fisher form."""
    from steer_assets.geometry.null_spaces.ranks import null_spaces

    estimator = run.study.spectra.estimator["fisher"]
    return next(space.rank for space in null_spaces(spectrum) if space.estimator == estimator)


def points_of(run: StageRun, layer: int, dose: float) -> list[Point]:
    """The points of a block that the study asks for."""
    vectors, values = read_table(run)
    v = values[vectors["vector_id"].to_list().index(base_id(layer))]
    of = {
        "steered": Point(layer, "steered", Arm(base_id(layer), dose), dose * v),
        "unsteered": Point(layer, "unsteered", UNSTEERED, np.zeros_like(v)),
    }
    return [of[name] for name in run.study.text_fisher.points]


def gradients_at(run: StageRun, points: Sequence[Point]) -> list[Gradients]:
    """Gradients of every point's texts: those of the verdicts first, prompts taking turns."""
    from steer_assets.lm.forward.intervene import Addition
    from steer_assets.lm.texts.gradients import GradientText, text_gradients
    from steer_assets.lm.texts.parts import parts_of_gradients

    model = run.derivative_model()
    tests = prompt_selection.generation_tests(run.rows("prompt_sets"), run.study)
    prompts = prompt_selection.spread_over_environments(tests, len(tests))
    ids, prompt_ids = prompt_selection.encoded(model, prompts), prompts["prompt_id"].to_list()
    texts: list[GradientText] = []
    names: list[list[str]] = []
    of_arm: dict[Arm, _Texts] = {}  # the unsteered ones are those of every block
    for number, point in enumerate(points):
        if point.arm not in of_arm:
            of_arm[point.arm] = _texts_at(run, point, ids, prompt_ids)
        own, of_verdicts = of_arm[point.arm]
        texts += [GradientText(prompt, number, tuple(tokens)) for prompt, tokens in own]
        names.append(of_verdicts)
    gradients = found_for_texts(
        run,
        text_gradients,
        parts_of_gradients,
        ids,
        texts,
        step="gradients of texts",
        derivatives=True,
        points=[
            (point.layer, (Addition(point.layer, row, 1.0),) if point.added.any() else ())
            for row, point in enumerate(points)
        ],
        sampling=sampling_of(run),
        scope=scopes.scope_of(run, model),
        vectors=np.stack([point.added for point in points]),
    )
    values = np.stack(gradients)
    of_prompt = np.array([text.prompt for text in texts])
    of_point = np.array([text.point for text in texts])
    return [
        Gradients(point, values[at], of_prompt[at], prompt_ids, names[number])
        for number, point in enumerate(points)
        for at in [of_point == number]
    ]


def _texts_at(run: StageRun, point: Point, ids: list[list[int]], prompt_ids: list[str]) -> _Texts:
    wanted = run.study.text_fisher.texts
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
    return found, [generation_id for _, _, generation_id, _ in rows]


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
