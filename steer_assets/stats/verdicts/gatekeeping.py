"""The gatekeeping order of a report's hypotheses, and their adjusted p-values.

A *block* is one protocol, scorer, margin and layer. A hypothesis is on a *group*: all seeds of one
family of vectors at one dose in one environment. Two kinds of claim have an order each:

    equivalence   the group's p is the largest over its seeds (intersection-union: every seed must
                  be inside the margin; Berger 1982), which also applies to its seeds
    difference    hypotheses are single seeds, by Holm over all seeds of the gate; the group's p is
                  the smallest of its adjusted ones (some seed differs)

Gates of a block, each with Holm (1979) inside; n hypotheses, level a:

    headline      the headline family, pooled, at the headline dose (and by it, its seeds)
    doses         the headline family at the other doses, pooled
    environments  the headline family at the headline dose, in single environments
    families      the other families, pooled, at the headline dose
    rest          everything else: other families elsewhere, other doses in single environments

``doses`` and ``environments`` open if the headline's claim of the same kind is shown. They are
tested at a/2 each; if all claims of one are shown, the other is tested at a (a weighted Bonferroni
shortcut: Hommel, Bretz & Maurer 2007). In a fixed sequence a single undecided dose would leave
every environment untested. ``families`` and ``rest`` open if the headline is decided either way,
because "v + null is equivalent" must remain testable if v + v_perp is shown to differ. They have a
separate level a, split in the same way.

What is controlled, for each kind of claim, under any dependence between tests:

    P(a false claim among headline, its seeds, doses, environments)  <= a
    P(a false claim among the other families)                        <= a

so at most 2a for each kind of claim in a block. A headline can be falsely called equivalent only if
some seed is outside the margin, and falsely called different only if no seed differs. These exclude
each other, so the headline verdict itself is wrong with probability at most a. Both kinds of claim
in all gates together: at most 4a. Blocks (layers, scorers, protocols, the two margins) are not
adjusted for one another.

Effects over unsteered have a separate order (``efficacies``): v at the headline dose, pooled; then
v elsewhere, opened by it; and the other vectors, as ``families`` and ``rest``: at most 2a. Every
comparison with v requires that v has an effect *there*, and one larger than the margin. Claim and
condition must hold jointly, which needs no adjustment (intersection-union).

An adjusted p is the larger one of Holm's and of the p that opened the gate: below a exactly where
the procedure rejects at level a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from steer_assets.stats.verdicts.multiplicity import holm

Gate = Literal["headline", "doses", "environments", "families", "rest"]
Kind = Literal["equivalence", "difference"]
#: Gates that share one level: each is tested at half of it until all claims of the other are shown.
_HALVES: tuple[tuple[Gate, Gate], ...] = (("doses", "environments"), ("families", "rest"))


@dataclass(frozen=True, slots=True)
class Group:
    """Seeds of one family at one dose and environment: raw p-values [k] of both tests."""

    gate: Gate
    p_equivalence: Float[np.ndarray, " k"]
    p_difference: Float[np.ndarray, " k"]


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Adjusted p-values of a group: of the claim on all seeds, and of each seed [k].

    ``closed``: not tested, because the headline did not open the gate, for either kind of claim.
    ``share``: the part of the level at which the group's equivalence is tested in Holm's first
    step.
    """

    p_equivalence: float
    p_difference: float
    p_difference_of_seeds: Float[np.ndarray, " k"]
    closed: tuple[Kind, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Within:
    """A group within its gate, as if the gate were open: adjusted p-values of both claims.

    share_equivalence, share_difference: the part of the level at which the claim on all seeds, and
    that on one seed, are tested in Holm's first step.
    """

    p_equivalence: float
    p_difference: float
    share_equivalence: float
    share_difference: float


def within_gates(groups: Sequence[Group]) -> list[Within]:
    """Adjusted p-values of one block without the headline's opening of the later gates."""
    equivalence, shares = _chain([[float(g.p_equivalence.max())] for g in groups], groups)
    difference, of_seeds = _chain([list(g.p_difference) for g in groups], groups)
    return [
        Within(float(same[0]), float(differs.min()), share, own)
        for same, differs, share, own in zip(equivalence, difference, shares, of_seeds, strict=True)
    ]


def compared_with_base(groups: Sequence[Group], *, alpha: float = 0.05) -> list[Adjusted]:
    """Adjusted p-values of the comparisons with v of one block, in the order given.

    Without a headline among them, ``families`` and ``rest`` are open and the others closed.

    Raises ValueError on a group without seeds, several headlines, or a p-value outside [0, 1].
    """
    head = [group for group in groups if group.gate == "headline"]
    if len(head) > 1:
        raise ValueError(f"a block has one headline, got {len(head)}")
    equivalence, shares = _chain([[float(g.p_equivalence.max())] for g in groups], groups)
    difference, _ = _chain([list(g.p_difference) for g in groups], groups)
    at = next((i for i, group in enumerate(groups) if group.gate == "headline"), None)
    of_headline = (
        (1.0, 1.0) if at is None else (float(equivalence[at][0]), float(difference[at].min()))
    )
    decided = 0.0 if at is None else min(of_headline)
    found = []
    for group, same, differs, share in zip(groups, equivalence, difference, shares, strict=True):
        opening = _opening(group.gate, of_headline, decided)
        seeds = np.maximum(differs, opening[1])
        kinds: tuple[Kind, ...] = ("equivalence", "difference")
        found.append(
            Adjusted(
                p_equivalence=max(float(same[0]), opening[0]),
                p_difference=float(seeds.min()),
                p_difference_of_seeds=seeds,
                closed=tuple(k for k, p in zip(kinds, opening, strict=True) if p >= alpha),
                share=share,
            )
        )
    return found


def efficacies(
    p: Float[np.ndarray, " m"], of_v: Sequence[bool], headline: Sequence[bool]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Adjusted p-values of effects over unsteered of one block, and Holm's first shares [m].

    Args:
        p: raw p-values of one kind of claim.
        of_v: whether each is that of v.
        headline: whether each is pooled, at the headline dose.
    """
    own, first = np.array(of_v, dtype=bool), np.array(headline, dtype=bool)
    adjusted, shares = np.ones(len(p)), np.ones(len(p))
    start = own & first
    adjusted[start] = p[start]
    opening = float(p[start].max(initial=0.0)) if start.any() else 1.0
    elsewhere = own & ~first
    adjusted[elsewhere] = np.maximum(holm(p[elsewhere]), opening)
    shares[elsewhere] = 1 / max(1, int(elsewhere.sum()))
    others, rest = ~own & first, ~own & ~first
    adjusted[others], adjusted[rest] = in_halves(p[others], p[rest])
    for one, other in ((others, rest), (rest, others)):
        shares[one] = 1 / max(1, int(one.sum())) / (2 if other.any() else 1)
    return adjusted, shares


def in_halves(
    first: Float[np.ndarray, " k"], second: Float[np.ndarray, " l"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " l"]]:
    """Holm within two gates that share one level; a gate shown completely passes on its half."""
    p, q = holm(first), holm(second)
    if not len(p) or not len(q):
        return p, q
    return (
        np.minimum(1.0, np.minimum(2 * p, np.maximum(2 * q.max(), p))),
        np.minimum(1.0, np.minimum(2 * q, np.maximum(2 * p.max(), q))),
    )


def _opening(gate: Gate, of_headline: tuple[float, float], decided: float) -> tuple[float, float]:
    """p-values that opened a gate, for equivalence and for difference."""
    if gate == "headline":
        return 0.0, 0.0
    return of_headline if gate in _HALVES[0] else (decided, decided)


def _chain(
    values: Sequence[Sequence[float]], groups: Sequence[Group]
) -> tuple[list[Float[np.ndarray, " k"]], list[float]]:
    """Holm within gates for hypotheses of groups, and the share of the level of the first step."""
    if not values:
        return [], []
    if any(len(own) == 0 for own in values):
        raise ValueError("a group needs at least one seed")
    gate = np.array([g.gate for g, own in zip(groups, values, strict=True) for _ in own], dtype=str)
    p = np.array([one for own in values for one in own], dtype=np.float64)
    adjusted, shares = np.ones(len(p)), np.ones(len(p))
    headline = gate == "headline"
    adjusted[headline] = holm(p[headline])
    shares[headline] = 1 / max(1, int(headline.sum()))
    for one, other in _HALVES:
        here, there = gate == one, gate == other
        adjusted[here], adjusted[there] = in_halves(p[here], p[there])
        for own, beside in ((here, there), (there, here)):
            shares[own] = 1 / max(1, int(own.sum())) / (2 if beside.any() else 1)
    ends = np.cumsum([len(own) for own in values])
    parts = np.split(adjusted, ends[:-1])
    return parts, [float(shares[end - 1]) for end in ends]
