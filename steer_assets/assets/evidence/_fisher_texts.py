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


@dataclass(frozen=True, eq=False)
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


_Text = tuple[int, list[int]]
"""The place of a text's prompt, and its tokens."""


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
    of_arm = _texts_of(run, points, ids, prompt_ids)
    for number, point in enumerate(points):
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


def _texts_of(
    run: StageRun, points: Sequence[Point], ids: list[list[int]], prompt_ids: list[str]
) -> dict[Arm, tuple[list[_Text], list[str]]]:
    """Texts of every arm, as many as the study asks for, and the ids of those of the verdicts."""
    wanted = run.study.text_fisher.texts
    stored = {point.arm: _of_verdicts(run, point.arm, prompt_ids)[:wanted] for point in points}
    of_arm = {point.arm: point for point in points}  # unsteered texts are those of every block
    missing = {of_arm[arm]: wanted - len(own) for arm, own in stored.items() if len(own) < wanted}
    sampled = _sampled(run, missing, ids, prompt_ids)
    return {
        arm: (
            [(prompt, tokens) for prompt, tokens, _ in own] + sampled.get(arm, []),
            [generation_id for _, _, generation_id in own],
        )
        for arm, own in stored.items()
    }


def _of_verdicts(
    run: StageRun, arm: Arm, prompt_ids: list[str]
) -> list[tuple[int, list[int], str]]:
    """Prompts' places, tokens and ids of an arm's texts, the first samples of all prompts first."""
    place = {name: row for row, name in enumerate(prompt_ids)}
    texts = run.rows("generations").filter(
        (pl.col("protocol") == CONTROLLED)
        & (pl.col("vector_id") == arm.vector_id)
        & (pl.col("alpha") == arm.alpha)
    )
    columns = ("sample", "prompt_id", "generation_id", "token_ids")
    rows = [(n, place[name], own, tokens) for n, name, own, tokens in texts[columns].iter_rows()]
    return [(prompt, tokens, own) for _, prompt, own, tokens in sorted(rows)]


def _sampled(
    run: StageRun, missing: dict[Point, int], ids: list[list[int]], names: list[str]
) -> dict[Arm, list[_Text]]:
    """Texts sampled for the form alone, with noise of their own; prompts run once for all points.

    missing: the number of texts by point.
    """
    from steer_assets.lm.decoding import decode
    from steer_assets.lm.forward.intervene import Addition

    settings = run.study.generation
    found: dict[Arm, list[_Text]] = {point.arm: [] for point in missing}
    by_samples: dict[int, list[Point]] = {}
    for point, n in missing.items():
        by_samples.setdefault(-(-n // len(ids)), []).append(point)
    model = run.language_model()
    for samples, points in by_samples.items():
        made = decode.generate(
            model,
            ids,
            [
                (Addition(point.layer, row, 1.0),) if point.added.any() else ()
                for row, point in enumerate(points)
            ],
            np.stack([point.added for point in points]),
            decode.Sampling(
                max_new_tokens=settings.max_new_tokens,
                n_samples=samples,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=random_streams.integer(run.study, "text fisher", run.model, run.trait),
            ),
            scope=scopes.scope_of(run, model),
            prompt_keys=names,
            pairs=[
                (prompt, arm)
                for arm, point in enumerate(points)
                for prompt in range(-(-missing[point] // samples))
            ],
            on_progress=run.progress("sampling texts for the form"),
        )
        for text in made:
            found[points[text.arm].arm].append((text.prompt, text.token_ids))
    return {point.arm: found[point.arm][:n] for point, n in missing.items()}
