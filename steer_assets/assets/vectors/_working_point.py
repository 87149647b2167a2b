"""Rows of `steering_calibration`: blocks and doses, what v does there, and which are chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.vectors._sweep import (
    Direction,
    NoCalibrationError,
    Point,
    Sweep,
    Texts,
    no_scorer,
)
from steer_assets.pipeline.design import prompt_selection, scopes
from steer_assets.pipeline.stage import StageRun

if TYPE_CHECKING:
    from steer_assets.geometry.iso_divergence import IsoDose
    from steer_assets.stats.effects.working_point import Choice, Judged

#: Fewer prompts than this have no 95th percentile to speak of.
FEWEST = 8
CHOSEN, FALLBACK, GIVEN, NO = "chosen", "fallback", "given", "no"
CALIBRATION, VERDICT = "calibration", "verdict"
_QUANTILE = 0.95


@dataclass(frozen=True, slots=True)
class _Found:
    """Points of the sweep with what was measured at each, [points, prompts], in the same order."""

    sweep: Sweep
    iso: list[IsoDose]
    points: list[Point]
    kl: np.ndarray
    texts: Texts
    judged: list[Judged]

    def multiple(self, row: int) -> float:
        """The dose of a point as a multiple of its block's dose at the target."""
        point = self.points[row]
        return round(point.alpha / self.iso[point.block].dose, 9)

    def at(self, multiple: float) -> list[int]:
        """Points at one multiple; of blocks that meet the target, where any does."""
        rows = [row for row in range(len(self.points)) if self.multiple(row) == multiple]
        return [row for row in rows if self.iso[self.points[row].block].reached] or rows


def calibrated(
    run: StageRun, vectors: Mapping[int, Direction], given: Mapping[int, Sequence[float]]
) -> pl.DataFrame:
    """Rows for every block of `vectors` (v by block).

    given: doses by block that the study names by hand.

    Raises:
        NoCalibrationError: the verdicts leave too few prompts, there is no scorer, or too few
            texts have the part that is scored.
    """
    if why := refused(run):
        raise NoCalibrationError(why)
    prompts = prompt_selection.calibration_tests(run.rows("prompt_sets"), run.study)
    layers = sorted(vectors)
    sweep = Sweep(run, layers, np.stack([vectors[layer].values for layer in layers]), prompts)
    found = _measured(sweep, [vectors[layer].guess for layer in layers], given)
    return _rows(found, given, _choice(found))


def prompt_rows(run: StageRun) -> pl.DataFrame:
    """Rows of `calibration_prompts`."""
    table, n_texts = run.rows("prompt_sets"), run.study.calibration.texts
    ours = prompt_selection.calibration_tests(table, run.study)
    theirs = prompt_selection.generation_tests(table, run.study)
    return pl.concat(
        part.select("prompt_id", "environment").with_columns(
            split=pl.lit(split), continued=pl.int_range(pl.len()) < n
        )
        for part, split, n in ((ours, CALIBRATION, n_texts), (theirs, VERDICT, len(theirs)))
    )


def refused(run: StageRun) -> str:
    """Why there can be no calibration, in a sentence; empty where there can."""
    return scopes.next_token_unmoved(run.study) or _too_few(run) or no_scorer(run)


def _too_few(run: StageRun) -> str:
    n = len(prompt_selection.calibration_tests(run.rows("prompt_sets"), run.study))
    if n >= FEWEST:
        return ""
    return (
        f"the verdicts of {run.study.study} leave {n} test prompts of {run.trait} for "
        f"calibration, which needs {FEWEST}: lower prompts.test, or add test prompts"
    )


def _measured(sweep: Sweep, guesses: list[float], given: Mapping[int, Sequence[float]]) -> _Found:
    from steer_assets.geometry.iso_divergence import iso_doses
    from steer_assets.stats.effects.working_point import Candidate, judge

    settings, fluency = sweep.run.study.calibration, sweep.run.study.fluency

    def measure(asked: list[tuple[int, float]]) -> list[float]:
        kl = sweep.divergences([Point(*one) for one in asked], "doses of equal divergence")
        return [_percentile(row) for row in kl]

    # A dose that can be read and typed: rounded, and measured again as it is.
    iso = [
        dataclasses.replace(one, dose=float(f"{one.dose:.4g}"))
        for one in iso_doses(measure, guesses, settings.target_kl)
    ]
    asked = _grid(sweep, iso, given)
    kl = sweep.divergences(asked, "next token")
    finite = [row for row, values in enumerate(kl) if np.isfinite(values).all() and values.any()]
    points, kl = [asked[row] for row in finite], kl[finite]
    texts = sweep.texts(points, min(settings.texts, len(sweep.prompts)))
    fluent = (np.median(texts.perplexity_ratio, axis=1) <= fluency.perplexity_factor) & (
        texts.repetition.mean(axis=1) <= fluency.repetition
    )
    judged = judge(
        [
            Candidate(
                sweep.layers[point.block],
                texts.effects[row] / texts.unit,
                _percentile(kl[row]),
                bool(fluent[row]),
            )
            for row, point in enumerate(points)
        ],
        among=len(sweep.layers) * len(_tried(settings.multiples)),
        significance=sweep.run.study.statistics.significance,
    )
    return _Found(sweep, iso, points, kl, texts, judged)


def _percentile(kl: np.ndarray) -> float:
    if not np.isfinite(kl).all():
        return float("inf")
    return float(np.quantile(kl, _QUANTILE))


def _grid(sweep: Sweep, iso: list[IsoDose], given: Mapping[int, Sequence[float]]) -> list[Point]:
    multiples = sweep.run.study.calibration.multiples
    points = []
    for block, (layer, found) in enumerate(zip(sweep.layers, iso, strict=True)):
        doses = {found.dose * multiple for multiple in multiples} | set(given.get(layer, ()))
        points += [Point(block, dose) for dose in sorted(doses)]
    return points


@dataclass(frozen=True, slots=True)
class _Working:
    """The chosen blocks, and their dose as a multiple of the one at the target."""

    choice: Choice
    multiple: float


def _tried(multiples: Sequence[float]) -> list[float]:
    """Multiples that may be chosen, the largest first: none beyond the target."""
    return sorted((m for m in multiples if m <= 1), reverse=True)


def _choice(found: _Found) -> _Working | None:
    """The working point of the study; None where all of it is given by hand.

    Blocks are compared at one multiple: at the target, and where none is steerable there while its
    texts stay fluent, at the next smaller one. Where there is none at any, the best of the first
    multiple at which texts are fluent.
    """
    from steer_assets.stats.effects.working_point import Choice, choose

    study = found.sweep.run.study
    if not study.automatic:
        return None
    if not study.layers.automatic:  # only the doses are left open
        return _Working(Choice(tuple(found.sweep.layers), ""), 1.0)
    rows = {m: found.at(m) for m in _tried(study.calibration.multiples)}
    judged = {m: [found.judged[row] for row in own] for m, own in rows.items() if own}
    made = [_Working(choose(own, study.calibration.choose), m) for m, own in judged.items()]
    fluent = [one for one in made if any(judge.fluent for judge in judged[one.multiple])]
    good = [one for one in made if not one.choice.reason]
    return next(iter((*good, *fluent, *made[-1:])))


def _rows(
    found: _Found, given: Mapping[int, Sequence[float]], working: _Working | None
) -> pl.DataFrame:
    rows = []
    for row, (point, judged) in enumerate(zip(found.points, found.judged, strict=True)):
        chosen, rank, reason = _standing(found, row, given, working)
        iso = found.iso[point.block].reason
        reasons = [f"KL {iso}" if iso else "", reason]
        rows.append(
            _numbers(found, row)
            | {
                "layer": judged.block,
                "effect": judged.effect,
                "effect_low": judged.low,
                "effect_per_nat": judged.per_nat,
                "fluent": judged.fluent,
                "steerable": judged.steerable,
                "chosen": chosen,
                "rank": rank,
                "reason": "; ".join(filter(None, reasons)),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _standing(
    found: _Found, row: int, given: Mapping[int, Sequence[float]], working: _Working | None
) -> tuple[str, int, str]:
    """Whether a point is chosen, its rank, and the reason of a choice that is none."""
    block, alpha = found.judged[row].block, found.points[row].alpha
    if working and block in working.choice.blocks and found.multiple(row) == working.multiple:
        rank, reason = working.choice.blocks.index(block) + 1, working.choice.reason
        return (FALLBACK if reason else CHOSEN), rank, reason
    return (GIVEN if alpha in given.get(block, ()) else NO), 0, ""


def _numbers(found: _Found, row: int) -> dict[str, object]:
    """What was measured at a point."""
    point, texts, sweep = found.points[row], found.texts, found.sweep
    return {
        "alpha": point.alpha,
        "iso_multiple": found.multiple(row),
        "step_norm": point.alpha * float(np.linalg.norm(sweep.vectors[point.block])),
        "unit_sd": texts.unit,
        "next_token_kl_p95": _percentile(found.kl[row]),
        "next_token_kl": float(found.kl[row].mean()),
        "target_kl": sweep.run.study.calibration.target_kl,
        "perplexity_ratio": float(np.median(texts.perplexity_ratio[row])),
        "repetition": float(texts.repetition[row].mean()),
        "scorer": texts.scorer,
        "split": CALIBRATION,
        "n_prompts": found.kl.shape[1],
        "n_texts": texts.effects.shape[1],
    }
