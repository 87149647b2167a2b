"""Which arms are compared with which, and the rows of `equivalence_tests` that come of it.

Prompts are the units: all samples of a prompt are averaged within it. Every arm is compared with
the unsteered one (`efficacy`), and every other arm with v at the same dose and layer
(`against_base`); v + v_perp at several blocks with v at those. Arms that differ only in the seed of
v_perp are also compared together.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from steer_assets.assets import multi_layer, seeds
from steer_assets.assets.arms import UNSTEERED, Arm
from steer_assets.catalog.studies import Study
from steer_assets.catalog.traits import ENVIRONMENTS
from steer_assets.stats import equivalence, margins, spread
from steer_assets.stats.compare import Comparison, compare
from steer_assets.stats.multiplicity import holm
from steer_assets.stats.power import tost_sample_size
from steer_assets.stats.verdicts import verdict

POOLED = "pooled"
ALL_SEEDS = "all_seeds"
#: Fewest prompts of one environment that are worth a test of their own.
_FEWEST_PROMPTS = 4
#: Within these columns p-values are adjusted together. v's own efficacy is the primary hypothesis
#: that the others depend on, and forms a family by itself.
_FAMILY_OF_TESTS = ["protocol", "scorer", "comparison", "margin_kind", "environment", "primary"]


#: Whose efficacy that is.
_PRIMARY = ("base", multi_layer.FAMILY)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared: an arm, or several arms that differ in seed only."""

    vector_id: str
    family: str
    null_space: str
    layer: int
    alpha: float
    arms: tuple[Arm, ...]


def subjects(vectors: pl.DataFrame, present: set[Arm]) -> list[Subject]:
    """Every arm that has texts, and seeds of the same family together."""
    found = []
    rows = vectors.filter(pl.col("family") != UNSTEERED.vector_id).sort("layer", "vector_id")
    for row in rows.iter_rows(named=True):
        for arm in sorted(a for a in present if a.vector_id == row["vector_id"]):
            identity = (row["family"], row["null_space"], row["layer"])
            found.append(Subject(arm.vector_id, *identity, arm.alpha, (arm,)))
    together: dict[tuple[str, str, int, float], list[Subject]] = {}
    for one in found:
        if one.family == "external":
            continue  # vectors that a user brought are no seeds of one another
        key = (one.family, one.null_space, one.layer, one.alpha)
        together.setdefault(key, []).append(one)
    for (family, null_space, layer, alpha), same in together.items():
        if len(same) > 1:
            name = ".".join(filter(None, (f"L{layer}", family, null_space, ALL_SEEDS)))
            arms = tuple(one.arms[0] for one in same)
            found.append(Subject(name, family, null_space, layer, alpha, arms))
    return found


def references(subject: Subject, present: set[Arm]) -> Iterator[Arm]:
    """What a subject is compared with: unsteered, and v at the same dose and block.

    v + v_perp at every block is compared with v at every block.
    """
    yield UNSTEERED
    if subject.family == "base":
        return
    plain = multi_layer.FAMILY if subject.family == multi_layer.PLUS else "base"
    v = Arm(f"L{subject.layer}.{plain}", subject.alpha)
    if v in present:
        yield v


class Scores:
    """Scores of one protocol and scorer as arrays [prompts, samples] by arm."""

    def __init__(self, scored: pl.DataFrame) -> None:
        self._by_arm: dict[Arm, dict[str, np.ndarray]] = {}
        self.environment: dict[str, str] = dict(
            scored.select("prompt_id", "environment").unique(maintain_order=True).iter_rows()
        )
        for (vector_id, alpha, prompt_id), rows in scored.sort("sample").group_by(
            "vector_id", "alpha", "prompt_id", maintain_order=True
        ):
            by_prompt = self._by_arm.setdefault(Arm(str(vector_id), float(str(alpha))), {})
            by_prompt[str(prompt_id)] = rows["score"].to_numpy()

    @property
    def arms(self) -> set[Arm]:
        """Arms that have texts."""
        return set(self._by_arm)

    def paired(
        self, arms: tuple[Arm, ...], reference: Arm, environment: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores [prompts, samples] of both sides on the prompts that all of them have.

        Samples of several arms lie side by side, each beside the same sample of the reference.
        """
        prompts = self.shared([*arms, reference], environment)
        if not prompts:
            return np.empty((0, 0)), np.empty((0, 0))
        first = [self.table(arm, prompts) for arm in arms]
        second = [self.table(reference, prompts)] * len(arms)
        return np.concatenate(first, axis=1), np.concatenate(second, axis=1)

    def shared(self, arms: Sequence[Arm], environment: str) -> list[str]:
        """Prompts of an environment that all of the arms have texts of."""
        return [
            prompt
            for prompt, where in self.environment.items()
            if environment in (POOLED, where)
            and all(prompt in self._by_arm.get(arm, {}) for arm in arms)
        ]

    def table(self, arm: Arm, prompts: list[str]) -> np.ndarray:
        """Scores [prompts, samples] of one arm."""
        return np.stack([self._by_arm[arm][prompt] for prompt in prompts])

    def environments(self) -> list[str]:
        """Pooled, and each environment with enough prompts, where there are several."""
        present = list(self.environment.values())
        several = [e for e in ENVIRONMENTS if present.count(e) >= _FEWEST_PROMPTS]
        return [POOLED, *(several if len(set(present)) > 1 else [])]


def _margins(
    unsteered: np.ndarray, chosen: np.ndarray, efficacy: np.ndarray | None, study: Study
) -> Iterator[tuple[str, equivalence.AnyMargin]]:
    """Margins by kind; a share of an effect that is exactly zero is left out.

    In standard deviations it is that of the unsteered texts of the environment, the same for every
    comparison there, also for one that has some of the prompts (`chosen`).
    """
    settings = study.statistics
    yield "sd", margins.standardised(unsteered, settings.margin_sd, chosen=chosen)
    if efficacy is not None and efficacy.mean() != 0:
        yield "efficacy", margins.relative(efficacy, settings.margin_efficacy)


def _needed(comparison: Comparison) -> int:
    try:
        return tost_sample_size(comparison.sd_difference, comparison.margin)
    except ValueError:  # an empty margin, or a share of next to nothing: more than ten million
        return 2**31 - 1


def _compare_all(
    scores: Scores, subject: Subject, reference: Arm, study: Study, purpose: tuple[str, ...]
) -> Iterator[dict[str, object]]:
    settings = study.statistics
    for environment in scores.environments():
        a, b = scores.paired(subject.arms, reference, environment)
        if len(a) < 2 or (a.std() == 0 and b.std() == 0):
            continue  # without any spread there is no unit and no test
        everywhere = scores.shared([UNSTEERED], environment)
        own = set(scores.shared([*subject.arms, reference], environment))
        chosen = np.array([prompt in own for prompt in everywhere])
        unsteered = scores.table(UNSTEERED, everywhere) if everywhere else np.empty((0, 0))
        if chosen.sum() != len(a) or unsteered.std() == 0:
            continue  # without spread of unsteered texts of these prompts there is no unit
        efficacy = None
        if reference != UNSTEERED:
            v, plain = scores.paired((reference,), UNSTEERED, environment)
            efficacy = (v - plain).mean(axis=1)
            if len(efficacy) != len(a):
                efficacy = None  # v has unsteered texts on other prompts than these
        for kind, margin in _margins(unsteered, chosen, efficacy, study):
            # Prompts are resampled alike for all vectors: equal texts have equal intervals.
            key = (*purpose, reference.vector_id, f"{subject.alpha}")
            result = compare(
                a,
                b,
                margin=margin,
                unit=spread.single(unsteered),
                level=settings.confidence,
                n_boot=settings.n_boot,
                rng=seeds.generator(study, *key, environment, kind),
            )
            measured = asdict(result)
            for extra in ("d_z", "se", "sd_difference"):
                del measured[extra]
            yield {
                "comparison": "efficacy" if reference == UNSTEERED else "against_base",
                "vector_id": subject.vector_id,
                "reference_id": reference.vector_id,
                "family": subject.family,
                "layer": subject.layer,
                "alpha": subject.alpha,
                "environment": environment,
                "margin_kind": kind,
                "primary": reference == UNSTEERED and subject.family in _PRIMARY,
                **measured,
                "n_prompts_needed": _needed(result),
            }


def compare_arms(
    scored: pl.DataFrame, vectors: pl.DataFrame, study: Study, *purpose: str
) -> pl.DataFrame:
    """Unadjusted comparisons of one protocol and scorer.

    scored: generations joined with their scores. `purpose` keys the random numbers.
    """
    scores = Scores(scored)
    rows: list[dict[str, object]] = []
    for subject in subjects(vectors, scores.arms):
        for reference in references(subject, scores.arms):
            rows += _compare_all(scores, subject, reference, study, purpose)
    return pl.DataFrame(rows, infer_schema_length=None)


def _adjusted(rows: pl.DataFrame) -> pl.DataFrame:
    parts = [
        group.with_columns(
            pl.Series("p_difference_adjusted", holm(group["p_difference"].to_numpy())),
            pl.Series("p_equivalence_adjusted", holm(group["p_equivalence"].to_numpy())),
        )
        for _, group in rows.group_by(_FAMILY_OF_TESTS, maintain_order=True)
    ]
    return pl.concat(parts)


def _least(low: float, high: float) -> float:
    """The smallest size of an effect that its interval allows."""
    return max(0.0, low, -high)


def with_verdicts(rows: pl.DataFrame, auroc_low: float, study: Study) -> pl.DataFrame:
    """Adjust p-values by Holm within families of tests and add verdicts with their reasons."""
    level = study.statistics.significance
    adjusted = _adjusted(rows)
    steering = adjusted.filter(pl.col("primary") & (pl.col("environment") == POOLED))
    works = {
        (row["vector_id"], row["alpha"]): _least(row["ci_low"], row["ci_high"])
        for row in steering.iter_rows(named=True)
        if row["p_difference_adjusted"] < level
    }
    values, reasons = [], []
    for row in adjusted.iter_rows(named=True):
        v = (row["reference_id"], row["alpha"])
        of_itself = row["comparison"] == "efficacy"
        stated = verdict(
            p_difference_adjusted=row["p_difference_adjusted"],
            p_equivalence_adjusted=row["p_equivalence_adjusted"],
            ci_low=row["ci_low"],
            ci_high=row["ci_high"],
            margin=row["margin"],
            reference_significant=of_itself or v in works,
            reference_least=math.inf if of_itself else works.get(v, 0.0),
            scorer_auroc_low=auroc_low,
            alpha=level,
            auroc_floor=study.scoring.auroc_floor,
        )
        values.append(stated.value)
        reasons.append(stated.reason)
    return adjusted.with_columns(pl.Series("verdict", values), pl.Series("reason", reasons)).drop(
        "primary"
    )
