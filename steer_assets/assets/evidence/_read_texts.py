"""Texts of arms, read under the arms that they are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.evidence._parts_of_texts import found_for_texts
from steer_assets.assets.vectors.vector_families import read_table
from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.geometry.vector_ids import EXTERNAL, base_id
from steer_assets.pipeline.design import prompt_selection, scopes
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.stage import StageRun

if TYPE_CHECKING:
    from steer_assets.lm.decoding.sampling import Sampling
    from steer_assets.lm.forward.intervene import Arm as Additions
    from steer_assets.lm.texts.likelihoods import SampledText
    from steer_assets.lm.texts.reader import Reading


@dataclass(frozen=True, slots=True)
class Compared:
    """Arms of one block at one dose: v, and those compared with it; rows of `steering_vectors`."""

    layer: int
    v: Arm
    others: Mapping[Arm, Mapping[str, str]]

    @property
    def pairs(self) -> Iterator[tuple[Arm, Arm]]:
        """Every arm with each of its references."""
        yield self.v, UNSTEERED
        for arm in self.others:
            yield arm, self.v
            yield arm, UNSTEERED

    def partners(self) -> dict[Arm, list[Arm]]:
        """The arms that the texts of each arm are read under beside it."""
        found: dict[Arm, list[Arm]] = {}
        for arm, reference in self.pairs:
            found.setdefault(arm, []).append(reference)
            found.setdefault(reference, []).append(arm)
        return found


def compared_arms(
    run: StageRun, texts: pl.DataFrame, layer: int, families: Sequence[str]
) -> Compared | None:
    """Arms of a block at its headline dose, those of `families` and vectors brought by the user.

    None where v has no texts.
    """
    v = base_id(layer)
    doses = texts.filter(pl.col("vector_id") == v)["alpha"].unique().to_list()
    if not doses:
        return None
    wanted = run.dose_at(layer)
    dose = min(doses, key=lambda alpha: (abs(alpha - wanted), alpha))
    present = texts.filter(pl.col("alpha") == dose)["vector_id"].unique().to_list()
    rows = run.rows("steering_vectors").filter(
        (pl.col("layer") == layer)
        & pl.col("family").is_in([*families, EXTERNAL])
        & pl.col("vector_id").is_in(present)
        & (pl.col("vector_id") != v)
    )
    others = {
        Arm(row["vector_id"], dose): {k: row[k] for k in ("family", "null_space")}
        for row in rows.sort("vector_id").iter_rows(named=True)
    }
    return Compared(layer, Arm(v, dose), others)


@dataclass(frozen=True)
class ReadText:
    """A text, and what it reads as under its own arm and under others."""

    generation_id: str
    prompt_id: str
    readings: Mapping[Arm, Reading]


def controlled_texts(run: StageRun, prompts: int, samples: int) -> pl.DataFrame:
    """Texts of the first samples of some prompts, environments taking turns."""
    tests = prompt_selection.generation_tests(run.rows("prompt_sets"), run.study)
    chosen = prompt_selection.spread_over_environments(tests, prompts)["prompt_id"].to_list()
    return run.rows("generations").filter(
        (pl.col("protocol") == CONTROLLED)
        & (pl.col("sample") < samples)
        & pl.col("prompt_id").is_in(chosen)
    )


def read(
    run: StageRun, texts: pl.DataFrame, compared: Sequence[Compared]
) -> dict[Arm, list[ReadText]]:
    """Every text of the compared arms of all blocks under its own arm and its arm's partners.

    Arms that add the same numbers are one arm, so that a copy of v equals v to the digit. The
    unsteered texts are those of every block.
    """
    from steer_assets.lm.texts.likelihoods import SampledText, text_likelihoods
    from steer_assets.lm.texts.parts import parts_of_readings

    model = run.language_model()
    partners: dict[Arm, dict[Arm, None]] = {}
    layers: dict[Arm, int] = {}
    for one in compared:
        for arm, new in one.partners().items():
            partners.setdefault(arm, {}).update(dict.fromkeys(new))
            layers[arm] = one.layer
    additions, values, place = _additions(run, layers)
    prompt_ids = texts["prompt_id"].unique(maintain_order=True).to_list()
    asked: list[SampledText] = []
    rows: list[tuple[Arm, str, str]] = []
    for arm, others in partners.items():
        own = texts.filter(
            (pl.col("vector_id") == arm.vector_id) & (pl.col("alpha") == arm.alpha)
        ).sort("prompt_id", "sample")
        under = tuple(place[other] for other in others)
        for name, prompt_id, ids in own.select("generation_id", "prompt_id", "token_ids").rows():
            asked.append(SampledText(prompt_ids.index(prompt_id), place[arm], tuple(ids), under))
            rows.append((arm, name, prompt_id))
    readings = found_for_texts(
        run,
        text_likelihoods,
        parts_of_readings,
        prompt_selection.encoded(model, prompts_in_order(run, prompt_ids)),
        asked,
        step="texts under other arms",
        arms=additions,
        vectors=values,
        sampling=sampling_of(run),
        scope=scopes.scope_of(run, model),
    )
    found: dict[Arm, list[ReadText]] = {arm: [] for arm in partners}
    for (arm, name, prompt_id), by_place in zip(rows, readings, strict=True):
        under_arms = {other: by_place[place[other]] for other in (arm, *partners[arm])}
        found[arm].append(ReadText(name, prompt_id, under_arms))
    return found


def sampling_of(run: StageRun) -> Sampling:
    """How the texts were sampled."""
    from steer_assets.lm.decoding.sampling import Sampling

    settings = run.study.generation
    return Sampling(settings.max_new_tokens, temperature=settings.temperature, top_p=settings.top_p)


def prompts_in_order(run: StageRun, prompt_ids: Sequence[str]) -> pl.DataFrame:
    """The test prompts of the ids, in their order."""
    tests = prompt_selection.all_tests(run.rows("prompt_sets"))
    return pl.DataFrame({"prompt_id": prompt_ids}).join(
        tests, on="prompt_id", how="left", maintain_order="left"
    )


def _additions(
    run: StageRun, layers: Mapping[Arm, int]
) -> tuple[list[Additions], np.ndarray, dict[Arm, int]]:
    """Distinct additions, their vectors [n, d], and the place of each arm's among them.

    layers: the block of each arm; that of the unsteered arm is of no account.
    """
    from steer_assets.lm.forward.intervene import Addition

    vectors, values = read_table(run)
    rows = {vector_id: row for row, vector_id in enumerate(vectors["vector_id"])}
    additions: list[tuple[Addition, ...]] = []
    steps: list[np.ndarray] = []
    known: dict[tuple[int, bytes], int] = {}
    place: dict[Arm, int] = {}
    for arm, layer in layers.items():
        step = np.zeros(values.shape[1])
        if arm != UNSTEERED:
            step = arm.alpha * values[rows[arm.vector_id]] + 0.0
        key = (layer if step.any() else -1, step.tobytes())
        if key not in known:
            known[key] = len(additions)
            additions.append((Addition(layer, len(steps), 1.0),) if step.any() else ())
            steps.append(step)
        place[arm] = known[key]
    return additions, np.stack(steps), place
