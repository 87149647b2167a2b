"""Rows of `steering_calibration`: blocks and doses, what v does there, and which are chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from steer_assets.assets.vectors._sweep import Point, Sweep, Texts
from steer_assets.pipeline.design import prompt_selection
from steer_assets.pipeline.stage import StageRun
from steer_assets.storage.schema import columns

if TYPE_CHECKING:
    from steer_assets.geometry.iso_divergence import IsoDose
    from steer_assets.stats.effects.working_point import Choice, Judged

#: Fewer prompts than this have no 95th percentile to speak of.
FEWEST = 8
CHOSEN, FALLBACK, GIVEN, NO = "chosen", "fallback", "given", "no"
CALIBRATION, VERDICT = "calibration", "verdict"
_QUANTILE = 0.95
_SHARED = ("model", "trait", "run_id", "code_version")


class NoCalibrationError(ValueError):
    """There are too few prompts that verdicts leave over."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Points of the sweep with what was measured at each, [points, prompts], in the same order."""

    sweep: Sweep
    iso: list[IsoDose]
    points: list[Point]
    kl: np.ndarray
    texts: Texts
    judged: list[Judged]

    def at_target(self, row: int) -> bool:
        """Whether a point is its block's dose at the target."""
        point = self.points[row]
        return point.alpha == self.iso[point.block].dose


def calibrated(
    run: StageRun, vectors: Mapping[int, np.ndarray], given: Mapping[int, Sequence[float]]
) -> pl.DataFrame:
    """Rows for every block of `vectors` (v by block).

    given: doses by block that the study names by hand.

    Raises:
        NoCalibrationError: the verdicts leave too few prompts.
    """
    if refused := too_few(run):
        raise NoCalibrationError(refused)
    prompts = prompt_selection.calibration_tests(run.rows("prompt_sets"), run.study)
    layers = sorted(vectors)
    sweep = Sweep(run, layers, np.stack([vectors[layer] for layer in layers]), prompts)
    found = _measured(sweep, given)
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


def too_few(run: StageRun) -> str:
    """Why there can be no calibration, in a sentence; empty where there can."""
    n = len(prompt_selection.calibration_tests(run.rows("prompt_sets"), run.study))
    if n >= FEWEST:
        return ""
    return (
        f"the verdicts of {run.study.study} leave {n} test prompts of {run.trait} for "
        f"calibration, which needs {FEWEST}: lower prompts.test, or add test prompts"
    )


def no_rows() -> pl.DataFrame:
    """Where what is given by hand cannot be measured."""
    schema = {k: v for k, v in columns("steering_calibration").items() if k not in _SHARED}
    return pl.DataFrame(schema=schema)


def _measured(sweep: Sweep, given: Mapping[int, Sequence[float]]) -> _Found:
    from steer_assets.geometry.iso_divergence import iso_doses
    from steer_assets.stats.effects.working_point import Candidate, judge

    settings, fluency = sweep.run.study.calibration, sweep.run.study.fluency

    def measure(asked: list[tuple[int, float]]) -> list[float]:
        kl = sweep.divergences([Point(*one) for one in asked], "doses of equal divergence")
        return [_percentile(row) for row in kl]

    # A dose that can be read and typed: rounded, and measured again as it is.
    iso = [
        dataclasses.replace(one, dose=float(f"{one.dose:.4g}"))
        for one in iso_doses(measure, len(sweep.layers), settings.target_kl)
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
        among=len(sweep.layers),
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


def _choice(found: _Found) -> Choice | None:
    """The blocks of the study's working point; None where all of it is given by hand."""
    from steer_assets.stats.effects.working_point import Choice, choose

    study = found.sweep.run.study
    if not study.automatic:
        return None
    if not study.layers.automatic:  # only the doses are left open
        return Choice(tuple(found.sweep.layers), "")
    own = [row for row in range(len(found.points)) if found.at_target(row)]
    met = [row for row in own if found.iso[found.points[row].block].reached]
    judged = [found.judged[row] for row in met or own]
    return choose(judged, study.calibration.choose)


def _rows(
    found: _Found, given: Mapping[int, Sequence[float]], choice: Choice | None
) -> pl.DataFrame:
    norms = np.linalg.norm(found.sweep.vectors, axis=1)
    rows = []
    for row, (point, judged) in enumerate(zip(found.points, found.judged, strict=True)):
        iso = found.iso[point.block]
        reasons = [f"KL {iso.reason}" if iso.reason else ""]
        chosen, rank = NO, 0
        if point.alpha in given.get(judged.block, ()):
            chosen = GIVEN
        if choice is not None and judged.block in choice.blocks and found.at_target(row):
            chosen, rank = (
                FALLBACK if choice.reason else CHOSEN,
                choice.blocks.index(judged.block) + 1,
            )
            reasons.append(choice.reason)
        kl_p95 = _percentile(found.kl[row])
        rows.append(
            {
                "layer": judged.block,
                "alpha": point.alpha,
                "iso_multiple": point.alpha / iso.dose,
                "step_norm": point.alpha * norms[point.block],
                "effect": judged.effect,
                "effect_low": judged.low,
                "effect_per_nat": judged.per_nat,
                "unit_sd": found.texts.unit,
                "next_token_kl_p95": kl_p95,
                "next_token_kl": found.kl[row].mean(),
                "target_kl": found.sweep.run.study.calibration.target_kl,
                "perplexity_ratio": float(np.median(found.texts.perplexity_ratio[row])),
                "repetition": found.texts.repetition[row].mean(),
                "fluent": judged.fluent,
                "steerable": judged.steerable,
                "chosen": chosen,
                "rank": rank,
                "scorer": found.texts.scorer,
                "split": CALIBRATION,
                "n_prompts": found.kl.shape[1],
                "n_texts": found.texts.effects.shape[1],
                "reason": "; ".join(filter(None, reasons)),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)
