"""Comparisons between arms, and the scores of both sides as arrays.

Prompts are the units: all samples of a prompt are averaged within it. Every arm is compared with
the unsteered one (`efficacy`), and every other arm with v at the same dose and layer
(`against_base`); v + v_perp at several blocks is compared with v at those blocks, and v with
another trait's vector with v alone, which is their interference. Arms that differ only in the seed
of v_perp form a family; their signed mean is also compared, but no verdict depends on it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from steer_assets.catalog.traits import ENVIRONMENTS
from steer_assets.geometry.vector_ids import ALL_SEEDS, ALONE, BASE, VectorId
from steer_assets.pipeline.design import multi_layer
from steer_assets.pipeline.design.arms import UNSTEERED, Arm

POOLED = "pooled"
#: The smallest number of prompts with which an environment is tested separately.
_FEWEST_PROMPTS = 4


@dataclass(frozen=True, slots=True)
class Subject:
    """The arm under comparison, or several arms that differ only in seed."""

    vector_id: str
    family: str
    null_space: str
    layer: int
    alpha: float
    arms: tuple[Arm, ...]


def subjects(vectors: pl.DataFrame, present: set[Arm]) -> list[Subject]:
    """Every arm that has texts, with the seeds of a family combined."""
    found = []
    rows = vectors.filter(pl.col("family") != UNSTEERED.vector_id).sort("layer", "vector_id")
    for row in rows.iter_rows(named=True):
        for arm in sorted(a for a in present if a.vector_id == row["vector_id"]):
            identity = (row["family"], row["null_space"], row["layer"])
            found.append(Subject(arm.vector_id, *identity, arm.alpha, (arm,)))
    together: dict[tuple[str, str, int, float], list[Subject]] = {}
    for one in found:
        if one.family in ALONE:
            continue  # these are not seeds of one family
        key = (one.family, one.null_space, one.layer, one.alpha)
        together.setdefault(key, []).append(one)
    for (family, null_space, layer, alpha), same in together.items():
        if len(same) > 1:
            name = str(VectorId(layer, family, null_space, ALL_SEEDS))
            arms = tuple(one.arms[0] for one in same)
            found.append(Subject(name, family, null_space, layer, alpha, arms))
    return found


def references(subject: Subject, present: set[Arm]) -> Iterator[Arm]:
    """The references of a subject: unsteered, and v at the same dose and block.

    v + v_perp at every block is compared with v at every block.
    """
    yield UNSTEERED
    if subject.family == BASE:
        return
    plain = multi_layer.FAMILY if subject.family == multi_layer.PLUS else BASE
    v = Arm(str(VectorId(subject.layer, plain)), subject.alpha)
    if v in present:
        yield v


class Scores:
    """Scores of one protocol and scorer as arrays [prompts, samples] by arm.

    An arm has a prompt where each of its samples has a score: a text without an answer has none.
    """

    def __init__(self, scored: pl.DataFrame) -> None:
        n_samples = scored["sample"].n_unique()
        self.environment: dict[str, str] = dict(
            scored.select("prompt_id", "environment").unique(maintain_order=True).iter_rows()
        )
        self._prompts = list(self.environment)
        self._row = {prompt: row for row, prompt in enumerate(self._prompts)}
        self._where = np.array(list(self.environment.values()), dtype=object)
        #: Scores [prompts, samples] of every arm, and which prompts have all of them.
        self._scores: dict[Arm, np.ndarray] = {}
        self._whole: dict[Arm, np.ndarray] = {}
        texts = scored.sort("sample").group_by("vector_id", "alpha", "prompt_id").agg("score")
        for vector_id, alpha, prompt, own in texts.iter_rows():
            arm, row = Arm(vector_id, alpha), self._row[prompt]
            if arm not in self._scores:
                self._scores[arm] = np.full((len(self._prompts), n_samples), np.nan)
                self._whole[arm] = np.zeros(len(self._prompts), dtype=bool)
            if len(own) == n_samples:
                self._scores[arm][row], self._whole[arm][row] = own, True

    @property
    def arms(self) -> set[Arm]:
        """Arms that have texts."""
        return set(self._scores)

    def paired(
        self, arms: tuple[Arm, ...], reference: Arm, environment: str, *also: Arm
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores [prompts, samples] of both sides on the prompts common to all arms, and to `also`.

        Samples of several arms are concatenated along the sample axis; each is paired with the same
        sample of the reference.
        """
        chosen = self.which([*arms, reference, *also], environment)
        if not chosen.any():
            return np.empty((0, 0)), np.empty((0, 0))
        first = [self._scores[arm][chosen] for arm in arms]
        second = [self._scores[reference][chosen]] * len(arms)
        return np.concatenate(first, axis=1), np.concatenate(second, axis=1)

    def which(self, arms: Sequence[Arm], environment: str) -> np.ndarray:
        """Whether all of the arms have texts for each prompt, and it is of the environment."""
        chosen = np.ones(len(self._prompts), dtype=bool)
        if environment != POOLED:
            chosen &= self._where == environment
        for arm in arms:
            chosen &= self._whole.get(arm, np.False_)
        return chosen

    def shared(self, arms: Sequence[Arm], environment: str) -> list[str]:
        """Prompts of an environment for which all of the arms have texts."""
        return [self._prompts[row] for row in np.flatnonzero(self.which(arms, environment))]

    def table(self, arm: Arm, prompts: list[str]) -> np.ndarray:
        """Scores [prompts, samples] of one arm.

        Raises:
            KeyError: the arm lacks a text of one of the prompts.
        """
        rows = [self._row[prompt] for prompt in prompts]
        if not self._whole[arm][rows].all():
            raise KeyError(f"{arm} lacks texts of some of {len(prompts)} prompts")
        found: np.ndarray = self._scores[arm][rows]
        return found

    def environments(self) -> list[str]:
        """Pooled, and, if there are several, each environment with enough prompts."""
        return [POOLED, *_tested(list(self.environment.values()))]


def tested_environments(prompts: pl.DataFrame) -> list[str]:
    """Environments that are tested separately as well, of rows of `prompt_sets`."""
    return _tested(prompts["environment"].to_list())


def _tested(present: list[str]) -> list[str]:
    """Those of several with enough prompts, given the environment of every prompt."""
    several: list[str] = [e for e in ENVIRONMENTS if present.count(e) >= _FEWEST_PROMPTS]
    return several if len(set(present)) > 1 else []
