"""Unadjusted tests of one protocol and scorer: single arms, and the seeds of a family.

In a study with several looks, p-values are sequential ones, over the looks from which both sides
have texts; effects and their intervals are those of all of these texts, for a fixed sample.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.geometry.vector_ids import ALL_SEEDS, VectorId, family_of
from steer_assets.pipeline.design import paired_scores, random_streams
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.comparisons import (
    Subject,
    references,
    subjects,
)
from steer_assets.pipeline.design.paired_scores import Pair, ScoresByLook, paired
from steer_assets.stats.effects import seed_effects
from steer_assets.stats.sequential import looks
from steer_assets.stats.verdicts import joint_power
from steer_assets.stats.verdicts.compare import compare

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


def compare_arms(
    scored: pl.DataFrame, vectors: pl.DataFrame, study: Study, *purpose: str
) -> Compared:
    """Unadjusted comparisons of one protocol and scorer.

    scored: generations joined with their scores. `purpose` keys the random numbers.
    """
    by_look = ScoresByLook(scored, study)
    scores = by_look.whole
    found = Compared([], [], [])
    for subject in subjects(vectors, scores.arms):
        for reference in references(subject, scores.arms):
            for environment in scores.environments():
                pair = paired(scores, subject.arms, reference, environment, study)
                if pair is None:
                    continue
                pairs = by_look.pairs(subject.arms, reference, environment)
                for row, design in _tests(pair, subject, reference, environment, study, purpose):
                    sequential = _sequential(pairs, row["margin_kind"], study)
                    row["n_texts"] += (
                        sequential["n_further"] * (len(subject.arms) + 1) // len(subject.arms)
                    )
                    found.tests.append(row | sequential)
                    found.designs.append(design)
    found.groups.extend(_groups(by_look, found.tests, study, purpose))
    return found


def _tests(
    pair: Pair,
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
            "n_texts": result.n_pairs + result.n_pairs // len(subject.arms),
            "unit_sd": pair.unit.sd,
            "d_low": result.ci_low / pair.unit.sd,
            "d_high": result.ci_high / pair.unit.sd,
        }
        yield row, joint_power.design(difference[:, None], margin)


def _sequential(pairs: list[Pair | None], kind: str, study: Study) -> Row:
    """The look of a test, its p-values in place of those of a fixed study, and further pairs."""
    fractions = study.generation.looks
    if len(fractions) == 1:
        return {"look": 1, "n_further": 0}
    tests = paired_scores.tests(pairs, kind, fractions)
    n_further = 0 if pairs[-1] is None else pairs[-1].n_pairs - pairs[-1].a.size
    return {
        "look": len(pairs),
        "n_further": n_further,
        "p_equivalence": looks.sequential_p(tests.p_equivalence, fractions),
        "p_difference": looks.two_sided_sequential_p(tests.p_difference, tests.effect, fractions),
    }


def is_signed_mean(row: Row) -> bool:
    """Whether a row is the signed mean over seeds, which is descriptive only."""
    return VectorId.parse(row["vector_id"]).seed == ALL_SEEDS


def _groups(
    by_look: ScoresByLook, tests: list[Row], study: Study, purpose: tuple[str, ...]
) -> Iterator[Group]:
    """Families among the comparisons with v; some vectors are families of one (`ALONE`)."""
    together: dict[tuple[Any, ...], list[int]] = {}
    for at, row in enumerate(tests):
        if row["comparison"] == "against_base" and not is_signed_mean(row):
            names = ("null_space", "layer", "alpha", "environment", "margin_kind", "reference_id")
            family = family_of(row["vector_id"], row["family"])
            key = (family, *(row[name] for name in names))
            together.setdefault(key, []).append(at)
    for key, places in together.items():
        family, null_space, layer, alpha, environment, kind, reference = key
        arms = tuple(Arm(tests[at]["vector_id"], alpha) for at in places)
        pair = paired(by_look.whole, arms, Arm(reference, alpha), environment, study)
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
