"""Unadjusted tests of one protocol and scorer: single arms, and the seeds of a family.

The unit of effects and margins is the standard deviation of one unsteered text's score in the
environment. It is the same for every comparison there, including those on a subset of the prompts.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.geometry.vector_ids import ALL_SEEDS, VectorId
from steer_assets.pipeline.design import multi_layer, random_streams
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.comparisons import (
    Scores,
    Subject,
    references,
    subjects,
)
from steer_assets.stats.effects import seed_effects, standardiser
from steer_assets.stats.verdicts import equivalence, joint_power, margins
from steer_assets.stats.verdicts.compare import compare

#: Families whose effect over unsteered counts as that of v.
OF_V = ("base", multi_layer.FAMILY)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """The seeds of one family at one dose, in one environment, against v by one margin.

    tests: indices of the seeds in `Compared.tests`. rms in standard deviations; None, like the
    design, if the seeds share fewer than two prompts.
    """

    named: Row
    reference_id: str
    tests: tuple[int, ...]
    design: joint_power.Design | None
    rms: seed_effects.RootMeanSquare | None


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows of unadjusted tests, the design of each, and the families compared with v."""

    tests: list[Row]
    designs: list[joint_power.Design]
    groups: list[Group]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Scores [prompts, samples] of both sides, the unit, and margins by kind."""

    a: np.ndarray
    b: np.ndarray
    unit: standardiser.Spread
    margins: dict[str, equivalence.AnyMargin]


def _pair(
    scores: Scores, arms: tuple[Arm, ...], reference: Arm, environment: str, study: Study
) -> _Pair | None:
    """None if there are fewer than two prompts, or no variance to define the unit."""
    a, b = scores.paired(arms, reference, environment)
    everywhere = scores.shared([UNSTEERED], environment)
    if len(a) < 2 or len(everywhere) < 2:
        return None
    unsteered = scores.table(UNSTEERED, everywhere)
    unit = standardiser.single(unsteered)
    own = set(scores.shared([*arms, reference], environment))
    chosen = np.array([prompt in own for prompt in everywhere])
    if unit.sd == 0 or chosen.sum() != len(a):
        return None
    settings = study.statistics
    found: dict[str, equivalence.AnyMargin] = {
        "sd": margins.standardised(unsteered, settings.margin_sd, chosen=chosen)
    }
    if reference != UNSTEERED:
        v, plain = scores.paired((reference,), UNSTEERED, environment)
        efficacy = (v - plain).mean(axis=1)
        # A share of an effect that is exactly zero, or measured on other prompts, is not a margin.
        if len(efficacy) == len(a) and efficacy.mean() != 0:
            found["efficacy"] = margins.relative(efficacy, settings.margin_efficacy)
    return _Pair(a, b, unit, found)


def compare_arms(
    scored: pl.DataFrame, vectors: pl.DataFrame, study: Study, *purpose: str
) -> Compared:
    """Unadjusted comparisons of one protocol and scorer.

    scored: generations joined with their scores. `purpose` keys the random numbers.
    """
    scores = Scores(scored)
    found = Compared([], [], [])
    for subject in subjects(vectors, scores.arms):
        for reference in references(subject, scores.arms):
            for environment in scores.environments():
                pair = _pair(scores, subject.arms, reference, environment, study)
                if pair is None:
                    continue
                for row, design in _tests(pair, subject, reference, environment, study, purpose):
                    found.tests.append(row)
                    found.designs.append(design)
    found.groups.extend(_groups(scores, found.tests, study, purpose))
    return found


def _tests(
    pair: _Pair,
    subject: Subject,
    reference: Arm,
    environment: str,
    study: Study,
    purpose: tuple[str, ...],
) -> Iterator[tuple[Row, joint_power.Design]]:
    settings = study.statistics
    difference = (pair.a - pair.b).mean(axis=1)
    for kind, margin in pair.margins.items():
        # Prompts are resampled identically for all vectors: equal texts have equal intervals.
        key = (*purpose, reference.vector_id, f"{subject.alpha}", environment, kind)
        result = compare(
            pair.a,
            pair.b,
            margin=margin,
            unit=pair.unit,
            level=settings.confidence,
            n_boot=settings.n_boot,
            rng=random_streams.generator(study, *key),
        )
        measured = asdict(result)
        for extra in ("d_z", "se", "sd_difference", "power"):
            del measured[extra]
        row = {
            "comparison": "efficacy" if reference == UNSTEERED else "against_base",
            "vector_id": subject.vector_id,
            "reference_id": reference.vector_id,
            "family": subject.family,
            "null_space": subject.null_space,
            "layer": subject.layer,
            "alpha": subject.alpha,
            "environment": environment,
            "margin_kind": kind,
            **measured,
            "unit_sd": pair.unit.sd,
            "d_low": result.ci_low / pair.unit.sd,
            "d_high": result.ci_high / pair.unit.sd,
        }
        yield row, joint_power.design(difference[:, None], margin)


def is_signed_mean(row: Row) -> bool:
    """Whether a row is the signed mean over seeds, which is descriptive only."""
    return VectorId.parse(row["vector_id"]).seed == ALL_SEEDS


def _groups(
    scores: Scores, tests: list[Row], study: Study, purpose: tuple[str, ...]
) -> Iterator[Group]:
    """Families among the comparisons with v; each user-supplied vector is a family of one."""
    together: dict[tuple[Any, ...], list[int]] = {}
    for at, row in enumerate(tests):
        if row["comparison"] == "against_base" and not is_signed_mean(row):
            alone = row["vector_id"].split(".", 1)[1] if row["family"] == "external" else ""
            names = ("null_space", "layer", "alpha", "environment", "margin_kind", "reference_id")
            key = (alone or row["family"], *(row[name] for name in names))
            together.setdefault(key, []).append(at)
    for key, places in together.items():
        family, null_space, layer, alpha, environment, kind, reference = key
        arms = tuple(Arm(tests[at]["vector_id"], alpha) for at in places)
        pair = _pair(scores, arms, Arm(reference, alpha), environment, study)
        named = {
            "family": family,
            "null_space": null_space,
            "layer": layer,
            "alpha": alpha,
            "environment": environment,
            "margin_kind": kind,
        }
        if pair is None or kind not in pair.margins:
            yield Group(named, reference, tuple(places), None, None)
            continue
        each = (pair.a - pair.b).reshape(len(pair.a), len(arms), -1).mean(axis=2)
        rms = seed_effects.root_mean_square(
            each / pair.unit.sd,
            n_boot=study.statistics.n_boot,
            level=study.statistics.confidence,
            rng=random_streams.generator(
                study, "rms", *purpose, reference, f"{alpha}", environment
            ),
        )
        design = joint_power.design(each, pair.margins[kind])
        yield Group(named, reference, tuple(places), design, rms)
