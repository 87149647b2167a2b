"""What differs between two states of the verdicts, and why: from lineage.

A report differs because an input (catalog, models), the code or the study differs, anywhere on the
way from prompts and weights to it; or, where no such input does, because a stage did not give the
same result twice.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from steer_assets.storage.database.states import PAIR, State

KEY = (*PAIR, "protocol", "scorer", "layer")
_NUMBERS = ("efficacy", "efficacy_low", "efficacy_high")
_KINDS = {"code": "code", "study": "study"}
_EFFECT_KEY = (*KEY, "comparison", "vector_id", "reference_id", "alpha")
#: A smaller difference of an effect, in standard deviations, is rounding.
_SAME = 1e-9
_NOT_KEPT = "the earlier texts were not kept"
_Node = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PairChange:
    """What differs for one model and trait, besides its verdict rows.

    what: `changed`, `new` (only in the second state) or `gone`. why: phrases, by kind: input, code,
    study, and result for a stage that differs although its inputs are the same.
    """

    model: str
    trait: str
    what: str
    why: tuple[tuple[str, str], ...] = ()
    texts: str = ""
    effects: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """rows: verdicts that differ, with `_before` and `_after` of each value, null where absent."""

    before: str
    after: str
    rows: pl.DataFrame
    pairs: tuple[PairChange, ...]
    n_same: int

    @property
    def n_verdicts(self) -> int:
        """How many rows have another verdict, where both states have one."""
        both = self.rows.drop_nulls(["verdict_before", "verdict_after"])
        return both.filter(pl.col("verdict_before") != pl.col("verdict_after")).height


def compare(before: State, after: State) -> Changes:
    """All differences, ordered by model, trait, protocol, scorer and layer."""
    joined = _side(before, "before").join(
        _side(after, "after"), on=KEY, how="full", coalesce=True, nulls_equal=True
    )
    same = pl.all_horizontal(
        pl.col(f"{name}_before").eq_missing(pl.col(f"{name}_after"))
        for name in ("verdict", *_NUMBERS)
    )
    rows = joined.filter(~same).sort(KEY)
    pairs = _pairs(joined, rows)
    return Changes(
        before.name,
        after.name,
        rows,
        tuple(_pair_changes(before, after, pairs)),
        joined.height - rows.height,
    )


def _side(state: State, suffix: str) -> pl.DataFrame:
    names = ("verdict", *_NUMBERS, "report_version")
    return state.verdicts.select(*KEY, *(pl.col(n).alias(f"{n}_{suffix}") for n in names))


def _pairs(joined: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Models and traits whose rows or report versions differ, with what became of them."""
    versions = joined.filter(
        pl.col("report_version_before").ne_missing(pl.col("report_version_after"))
    )
    named = pl.concat([rows.select(PAIR), versions.select(PAIR)]).unique()
    there = joined.group_by(PAIR).agg(
        pl.col("report_version_before").is_not_null().any().alias("was"),
        pl.col("report_version_after").is_not_null().any().alias("is"),
    )
    return there.join(named, on=PAIR, how="semi").sort(PAIR)


def _pair_changes(before: State, after: State, pairs: pl.DataFrame) -> Iterator[PairChange]:
    both = pairs.filter("was", "is").select(PAIR)
    if both.is_empty():
        reasons, texts, effects = {}, {}, {}
    else:
        reasons = _reasons(_by_pair(before.inputs(both)), _by_pair(after.inputs(both)))
        sides = before.texts(both), after.texts(both)
        effects = _effects(before.effects(both), after.effects(both))
        # Without a file of its own, nothing is known of a text that is not the current one.
        known = both
        for state, side in zip((before, after), sides, strict=True):
            known = known if state.current else known.join(side, on=PAIR, how="semi")
        texts = dict.fromkeys(both.rows(), _NOT_KEPT) | dict.fromkeys(known.rows(), "")
        texts |= _texts(*(side.join(known, on=PAIR, how="semi") for side in sides))
    for model, trait, was, stays in pairs.select(*PAIR, "was", "is").rows():
        if not (was and stays):
            yield PairChange(model, trait, "gone" if was else "new")
            continue
        pair = (model, trait)
        why = tuple(reasons.get(pair, ()))
        yield PairChange(model, trait, "changed", why, texts.get(pair, ""), effects.get(pair, ""))


@dataclass(slots=True)
class _Artifact:
    """One artifact: its version, and its inputs' versions by name."""

    version: str
    inputs: dict[_Node, str]


_Graph = dict[_Node, _Artifact]


def _by_pair(lineage: pl.DataFrame) -> dict[tuple[str, str], _Graph]:
    graphs: dict[tuple[str, str], _Graph] = defaultdict(dict)
    names = ("asset_key", "partition", "data_version")
    inputs = ("input_asset_key", "input_partition", "input_data_version")
    for model, trait, asset, part, version, source, source_part, source_version in lineage.select(
        *PAIR, *names, *inputs
    ).iter_rows():
        graph = graphs[model, trait]
        found = graph.setdefault((asset, part), _Artifact(version, {}))
        found.inputs[source, source_part] = source_version
    return graphs


def _reasons(
    before: dict[tuple[str, str], _Graph], after: dict[tuple[str, str], _Graph]
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    return {
        pair: sorted(set(_why(before[pair], after[pair], pair)))
        for pair in before.keys() & after.keys()
    }


def _why(before: _Graph, after: _Graph, pair: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """(kind, phrase) for every outside input that differs, and every stage that did not repeat."""
    ahead: list[_Node] = [("equivalence_reports", "|".join(pair))]
    walked: set[_Node] = set()
    while ahead:
        node = ahead.pop()
        if node in walked:
            continue
        walked.add(node)
        was, now = before.get(node), after.get(node)
        if was is None or now is None:
            if was or now:
                yield "code", f"the stage {node[0]} is {'gone' if was else 'new'}"
            continue
        if was.version != now.version and was.inputs == now.inputs:
            yield "result", f"{node[0]} differs, though made from the same inputs"
        for source in was.inputs.keys() | now.inputs.keys():
            if source in before or source in after:
                ahead.append(source)
            elif was.inputs.get(source) != now.inputs.get(source):
                yield _outside(source, was.inputs.get(source), now.inputs.get(source))


def _outside(source: _Node, was: str | None, now: str | None) -> tuple[str, str]:
    kind = _KINDS.get(source[0], "input")
    if was is None or now is None:
        return kind, f"{source[1]} is {'new' if was is None else 'gone'}"
    if kind == "code":
        return kind, f"{source[1]} from version {was} to {now}"
    return kind, source[1]


def _texts(before: pl.DataFrame, after: pl.DataFrame) -> dict[tuple[str, str], str]:
    """By pair: how many texts differ, were added, are gone; absent where all are the same."""
    joined = before.join(
        after, on=(*PAIR, "generation_id"), how="full", coalesce=True, suffix="_after"
    )
    was, now = pl.col("text"), pl.col("text_after")
    counted = joined.group_by(PAIR).agg(
        (was.is_not_null() & now.is_not_null()).sum().alias("both"),
        (was != now).sum().alias("differ"),
        was.is_null().sum().alias("new"),
        now.is_null().sum().alias("gone"),
    )
    found = {}
    for model, trait, both, differ, new, gone in counted.iter_rows():
        words = [f"{differ} of {both} texts differ"] if differ else []
        words += [f"{n} are {what}" for n, what in ((new, "new"), (gone, "gone")) if n]
        if words:
            found[model, trait] = ", ".join(words)
    return found


def _effects(before: pl.DataFrame, after: pl.DataFrame) -> dict[tuple[str, str], str]:
    """By pair: how many effects differ, and the largest difference."""
    joined = before.join(after, on=_EFFECT_KEY, suffix="_after").with_columns(
        (pl.col("cohens_d_after") - pl.col("cohens_d")).abs().alias("moved")
    )
    found = {}
    for (model, trait), own in joined.group_by(PAIR):
        moved = own.filter(pl.col("moved") > _SAME).sort("moved", descending=True)
        if not moved.is_empty():
            most = moved.row(0, named=True)
            found[str(model), str(trait)] = (
                f"{moved.height} of {own.height} effects differ, by up to {most['moved']:.2g} SD "
                f"({most['vector_id']} against {most['reference_id']}, {most['scorer']})"
            )
    return found


def sentences(changes: Changes) -> list[str]:
    """What differs in words, one sentence in all and one for every model and trait."""
    if not changes.pairs:
        return [f"nothing differs: {changes.n_same} rows are the same in both"]
    first = (
        f"{changes.n_verdicts} verdicts changed; {changes.rows.height} rows differ in a verdict or "
        f"an effect, {changes.n_same} are the same"
    )
    return [first, *(f"{pair.model}, {pair.trait}: {told(pair)}" for pair in changes.pairs)]


def told(pair: PairChange) -> str:
    """What differs for one model and trait, and why, as a phrase."""
    if pair.what != "changed":
        return "only in the second" if pair.what == "new" else "only in the first"
    words = [part for part in (pair.texts, pair.effects) if part]
    by_kind: dict[str, list[str]] = defaultdict(list)
    for kind, phrase in pair.why:
        by_kind[kind].append(phrase)
    because = [f"{kind} ({', '.join(phrases)})" for kind, phrases in sorted(by_kind.items())]
    words.append(f"because of {'; '.join(because)}" if because else "no cause is recorded")
    return "; ".join(words)
