"""Looks of a study: which prompts, and which arms, have texts at each.

Prompts are the information. A keyed order of the test prompts is cut, in every environment, at the
study's shares: the first share are the prompts of look 1. Prompts that protocols with switches use
as well come first, so that arms that stop early can be compared with those.

The unit of stopping is a family: vectors that differ only in their seed, at one dose, compared with
v. Its arms stop together. v and the unsteered arm go on while anything compared with them does, and
so do arms that are compared with nothing, while anything goes on at all. With `generation.extra`,
arms that are open at the last look, v and the unsteered arm have further samples of its prompts, as
many as the texts that were planned and are not made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from steer_assets.catalog.studies import Study
from steer_assets.geometry.vector_ids import family_of
from steer_assets.pipeline.design import prompt_selection, random_streams
from steer_assets.pipeline.design.arms import UNSTEERED, Arm
from steer_assets.pipeline.design.comparisons import references, subjects
from steer_assets.stats.sequential import further


@dataclass(frozen=True, slots=True)
class Family:
    """Seeds of one family at one dose, with the arm of v that they are compared with.

    A vector that the user brought is a family by itself, `external.NAME`; so is v with the vector
    of another trait, `two_traits.TRAIT`.
    """

    family: str
    null_space: str
    layer: int
    alpha: float
    reference: Arm
    arms: tuple[Arm, ...]

    @property
    def key(self) -> tuple[str, str, int, float]:
        """Its columns in tables."""
        return self.family, self.null_space, self.layer, self.alpha


def look_of_prompts(prompts: pl.DataFrame, study: Study) -> list[int]:
    """The look, from 1, of every prompt of the controlled protocol (`generation_tests`)."""
    shares = study.generation.looks
    if len(shares) == 1:
        return [1] * len(prompts)
    first = _of_protocols(prompts, study)
    found = [len(shares)] * len(prompts)
    for _, rows in prompts.with_row_index("row").group_by("environment", maintain_order=True):
        keyed = sorted(
            (prompt not in first, random_streams.integer(study, "looks", prompt), row)
            for row, prompt in rows.select("row", "prompt_id").iter_rows()
        )
        ends = [round(share * len(keyed)) for share in shares]
        for place, (_, _, row) in enumerate(keyed):
            found[row] = 1 + sum(place >= end for end in ends[:-1])
    return found


def by_look(prompts: pl.DataFrame, study: Study) -> pl.DataFrame:
    """The prompts of earlier looks first; as they are in a study with one look."""
    look = pl.Series("_look", look_of_prompts(prompts, study))
    return prompts.with_columns(look).sort("_look", maintain_order=True).drop("_look")


def _of_protocols(prompts: pl.DataFrame, study: Study) -> set[str]:
    if study.protocol_texts is None:
        return set()
    return set(prompt_selection.protocol_tests(prompts, study)["prompt_id"])


def families(vectors: pl.DataFrame, arms: Iterable[Arm]) -> list[Family]:
    """Families that are compared with v. `vectors`: vector_id, family, null_space, layer."""
    present = set(arms)
    together: dict[tuple[str, str, int, float, Arm], list[Arm]] = {}
    for subject in subjects(vectors, present):
        if len(subject.arms) > 1:
            continue
        name = family_of(subject.vector_id, subject.family)
        for reference in references(subject, present):
            if reference != UNSTEERED:
                key = (name, subject.null_space, subject.layer, subject.alpha, reference)
                together.setdefault(key, []).append(subject.arms[0])
    return [Family(*key, tuple(own)) for key, own in together.items()]


def going_on(
    look: int,
    arms: Sequence[Arm],
    known: Sequence[Family],
    closed: Collection[Family],
    last: Mapping[Arm, int],
) -> set[Arm]:
    """Arms that have texts at a look, from 1, given the families that have stopped.

    last: the last look that the study gives an arm, where it does not give it all of them.
    """
    planned = [arm for arm in arms if look <= last.get(arm, look)]
    still = [f for f in known if f not in closed and any(arm in planned for arm in f.arms)]
    if known and not still:
        return set()
    compared = {arm for family in known for arm in (*family.arms, family.reference)}
    going = {arm for family in still for arm in family.arms if arm in planned}
    references = {family.reference for family in still}
    return going | references | {arm for arm in planned if arm not in compared} | {UNSTEERED}


def further_samples(
    pairs: Iterable[tuple[int, Arm]],
    going: Mapping[int, Collection[Arm]],
    still: Sequence[Family],
    last: Mapping[Arm, int],
    study: Study,
) -> tuple[set[Arm], int]:
    """Arms that have further samples of the prompts of the last look, and how many.

    pairs: for every prompt and arm of the study, the look of the prompt, and the arm. going: arms
    that have texts, by look. still: families that have not stopped. last: as for ``going_on``.
    """
    settings = study.generation
    if settings.extra == 1:
        return set(), 0
    pairs, end = list(pairs), len(settings.looks)
    still = [family for family in still if {*family.arms} <= {*going[end]}]
    arms = {arm for family in still for arm in (*family.arms, family.reference, UNSTEERED)}
    n_planned = sum(look <= last.get(arm, end) for look, arm in pairs)
    n_made = sum(arm in going[look] for look, arm in pairs)
    cost = sum(look == end and arm in arms for look, arm in pairs)
    saved = (n_planned - n_made) * settings.samples
    return arms, further.further_samples(
        settings.samples, settings.looks[-2], settings.extra, saved, cost
    )


def fluency_prompts(table: pl.DataFrame, study: Study) -> pl.DataFrame:
    """The prompts whose texts are read again for their fluency: those of early looks first."""
    tests = by_look(prompt_selection.generation_tests(table, study), study)
    return prompt_selection.spread_over_environments(tests, study.fluency.prompts)
