"""Directions beside gradients of whole texts: predicted divergences, slopes of the score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.evidence._fisher_texts import Gradients
from steer_assets.assets.evidence._parts_of_texts import found_for_texts
from steer_assets.assets.evidence._read_texts import (
    controlled_texts,
    prompts_in_order,
    sampling_of,
)
from steer_assets.assets.evidence._text_steps import directions
from steer_assets.assets.vectors.vector_families import read_table
from steer_assets.pipeline.design import prompt_selection, random_streams, scopes
from steer_assets.pipeline.stage import StageRun

if TYPE_CHECKING:
    from steer_assets.stats.validation import Estimate

Row = dict[str, object]


def prediction_rows(run: StageRun, found: Gradients) -> Iterator[Row]:
    """Half e'Ge beside the measured KL, for steps around v."""
    from steer_assets.stats.divergences.score_gradient import half_quadratic

    settings, point = run.study.text_fisher, found.point
    own = (
        controlled_texts(run, settings.prompts, run.study.text_divergences.samples)
        .filter((pl.col("vector_id") == point.arm.vector_id) & (pl.col("alpha") == point.arm.alpha))
        .sort("prompt_id", "sample")
    )
    measured = own["prompt_id"].unique(maintain_order=True).to_list()
    if len(measured) < 2:
        return
    chosen = [
        (one, multiple)
        for one in directions(run, found, measured)
        for multiple in settings.multiples
    ]
    if not chosen:
        return
    moved = np.stack([multiple * one.step for one, multiple in chosen])
    kl = _measured(run, found, own, moved)
    for at, ((one, multiple), step) in enumerate(zip(chosen, moved, strict=True)):
        rows = one.predicting
        predicted = half_quadratic(found.values[rows], found.prompts[rows], step[None])
        yield {
            "layer": point.layer,
            "vector_id": one.vector_id,
            "family": one.family,
            "null_space": one.null_space,
            "alpha": point.arm.alpha,
            "multiple": multiple,
            "step_norm": float(np.linalg.norm(step)),
            "n_texts": len(own),
            **_interval(run, "kl", kl[:, at]),
            **_interval(run, "predicted_kl", predicted[:, 0]),
        }


def _measured(run: StageRun, found: Gradients, own: pl.DataFrame, moved: np.ndarray) -> np.ndarray:
    """KL of the texts of v from those moved by each step, by prompt [p, m]; from whole texts."""
    from steer_assets.lm.forward.intervene import Addition
    from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods
    from steer_assets.lm.texts.parts import parts_of_readings

    model, point = run.language_model(), found.point
    names = own["prompt_id"].unique(maintain_order=True).to_list()
    others = tuple(range(1, len(moved) + 1))
    readings = found_for_texts(
        run,
        text_likelihoods,
        parts_of_readings,
        prompt_selection.encoded(model, prompts_in_order(run, names)),
        [
            SampledText(names.index(prompt_id), 0, tuple(ids), others)
            for prompt_id, ids in own.select("prompt_id", "token_ids").iter_rows()
        ],
        step=f"block {point.layer} along steps",
        arms=[(Addition(point.layer, row, 1.0),) for row in range(len(moved) + 1)],
        vectors=np.stack([point.added, *(point.added + step for step in moved)]),
        sampling=sampling_of(run),
        scope=scopes.scope_of(run, model),
    )
    sums = np.zeros((len(names), len(moved)))
    for name, reading in zip(own["prompt_id"], readings, strict=True):
        sums[names.index(name)] += [reading[other].kl.sum() for other in others]
    counts = own["prompt_id"].value_counts(sort=False)
    by_name = dict(counts.iter_rows())
    return np.asarray(sums / np.array([by_name[name] for name in names])[:, None])


def _interval(run: StageRun, name: str, values: np.ndarray) -> Row:
    """A mean over prompts with its interval, under the names of its columns."""
    from steer_assets.stats.intervals import bootstrap

    if not np.isfinite(values).all():
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    statistics = run.study.statistics
    found = bootstrap.mean(
        values,
        level=statistics.confidence,
        n_boot=statistics.n_boot,
        rng=random_streams.generator(run.study, "text predictions", run.model, run.trait),
    )
    mean = float(values.mean())
    return {name: mean, f"{name}_low": min(found.low, mean), f"{name}_high": max(found.high, mean)}


def gradient_rows(run: StageRun, found: Gradients, null: np.ndarray) -> Iterator[Row]:
    """The gradient of every scorer's expected score along every vector of the block.

    null: the null space of the form of whole texts [d, k].
    """
    from steer_assets.geometry.null_spaces.subspaces import energy_share, random_share
    from steer_assets.stats.divergences.score_gradient import score_gradient

    point, statistics = found.point, run.study.statistics
    vectors, values = read_table(run)
    here = vectors.with_row_index("row").filter(pl.col("layer") == point.layer)
    d, known = values.shape[1], len(found.generation_ids)
    shares = {row: energy_share(values[row], null) for row in here["row"]}
    random = random_share(1, d, level=2 * statistics.confidence - 1).high ** 0.5
    order = pl.DataFrame({"generation_id": found.generation_ids})
    for (scorer,), rows in run.rows("classifier_scores").group_by("scorer", maintain_order=True):
        scores = order.join(rows, on="generation_id", how="left", maintain_order="left")["score"]
        has = scores.is_not_null().to_numpy()  # a text without an answer has no score
        prompts, scored = found.prompts[:known][has], int(has.sum())
        if len(np.unique(prompts)) < 2:
            continue
        gradient = score_gradient(
            found.values[:known][has], scores.drop_nulls().to_numpy(), prompts
        )
        for row, name, family, null_space in here.select(
            "row", "vector_id", "family", "null_space"
        ).iter_rows():
            # The same resamples for every vector, so that a copy of v has its interval.
            slope: Estimate = gradient.slope(
                values[row],
                level=statistics.confidence,
                n_boot=statistics.n_boot,
                rng=random_streams.generator(
                    run.study, "trait gradient", run.model, run.trait, str(point.layer)
                ),
            )
            norm = float(np.linalg.norm(values[row]))
            yield {
                "layer": point.layer,
                "at": point.at,
                "scorer": str(scorer),
                "vector_id": name,
                "family": family,
                "null_space": null_space,
                "n_texts": scored,
                "n_prompts": len(gradient.by_prompt),
                "slope": slope.value,
                "slope_low": slope.low,
                "slope_high": slope.high,
                "gradient_norm": gradient.length,
                "cosine": gradient.cosine(values[row]),
                "random_cosine": float(random),
                "first_order_effect": run.dose_at(point.layer) * norm * slope.value,
                "null_energy_text": shares[row],
                "null_fraction_text": null.shape[1] / d,
            }
