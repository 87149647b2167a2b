"""Rows of `equivalence_reports`: one conclusion per protocol, scorer and layer."""

from typing import Any

import polars as pl

from steer_assets.catalog.protocols import CONTROLLED
from steer_assets.catalog.scorer_entries import NO_SCORER
from steer_assets.catalog.studies import Study
from steer_assets.geometry.vector_ids import ALONE, TWO_TRAITS
from steer_assets.pipeline.design.comparisons import POOLED
from steer_assets.pipeline.design.gates import HEADLINE_FAMILY, headline_alpha

_AT_HEADLINE = (pl.col("margin_kind") == "sd") & (pl.col("environment") == POOLED)
VERDICTS = ("equivalent", "different", "inconclusive", "untestable")


def families_guarded(families: pl.DataFrame, tests: pl.DataFrame) -> pl.DataFrame:
    """Families after the fluency guard was applied to their seeds.

    A family is not equivalent if one of its seeds no longer is; it takes the reason of that seed.
    """
    verdicts, reasons = [], []
    beside_v = tests.filter(
        (pl.col("comparison") == "against_base") & pl.col("verdict").is_in(VERDICTS)
    )
    for row in families.iter_rows(named=True):
        verdict, reason = row["verdict"], row["reason"]
        if verdict == "equivalent":
            guarded = _seeds_of(row, beside_v).filter(pl.col("verdict") != verdict)
            if not guarded.is_empty():
                seed = guarded.row(0, named=True)
                verdict, reason = seed["verdict"], f"{seed['reason']}; {reason}"
        verdicts.append(verdict)
        reasons.append(reason)
    return families.with_columns(
        pl.Series("verdict", verdicts, dtype=pl.String),
        pl.Series("reason", reasons, dtype=pl.String),
    )


def _seeds_of(family: dict[str, Any], tests: pl.DataFrame) -> pl.DataFrame:
    same = [pl.col(n) == family[n] for n in ("layer", "alpha", "environment", "margin_kind")]
    if family["family"].partition(".")[0] in ALONE:
        same.append(pl.col("vector_id").str.ends_with(f".{family['family']}"))
    else:
        same += [pl.col(n) == family[n] for n in ("family", "null_space")]
    return tests.filter(*same)


def _counts(tests: pl.DataFrame) -> dict[str, int]:
    """Numbers of pooled verdicts of vectors in place of v, by margin (standard deviations)."""
    counted = tests.filter(
        _AT_HEADLINE
        & (pl.col("comparison") == "against_base")
        & pl.col("reference_id").str.ends_with(".base")
        & (pl.col("family") != TWO_TRAITS)
    )["verdict"].to_list()
    return {f"n_{name}": counted.count(name) for name in VERDICTS}


def report_row(
    tests: pl.DataFrame,
    families: pl.DataFrame,
    fisher: dict[str, object],
    layer: int,
    study: Study,
) -> dict[str, object]:
    """One row, without protocol, scorer and report path. `fisher` is the layer's null-space row.

    A comparison that is impossible (one prompt, constant unsteered scores) is `untestable` and has
    no efficacy.
    """
    own = tests.filter((pl.col("layer") == layer) & _AT_HEADLINE)
    row = _untestable(
        fisher,
        layer,
        "no comparison of v with unsteered texts could be made: it takes two prompts that both "
        "have texts of, and unsteered scores that are not all the same",
    )
    of_v = own.filter((pl.col("comparison") == "efficacy") & (pl.col("family") == "base"))
    if of_v.is_empty():
        return row
    alpha = headline_alpha(of_v["alpha"], study)
    v = of_v.row(by_predicate=pl.col("alpha") == alpha, named=True)
    row |= {"efficacy": v["cohens_d"], "efficacy_low": v["d_low"], "efficacy_high": v["d_high"]}
    row |= _counts(own.filter(pl.col("alpha") == alpha))
    headline = families.filter(
        (pl.col("layer") == layer)
        & (pl.col("alpha") == alpha)
        & (pl.col("family") == HEADLINE_FAMILY)
        & _AT_HEADLINE
    )
    if headline.is_empty():
        return row | {
            "reason": "no comparison of v + v_perp with v could be made: it takes two prompts that "
            "v, v + v_perp and unsteered texts share"
        }
    return row | {name: headline[name][0] for name in ("verdict", "reason", "look", "n_texts")}


def unscored_row(
    fisher: dict[str, object], layer: int, trait: str, unread: str
) -> dict[str, object]:
    """The row of a layer whose texts no scorer scores, without report path.

    unread: why there is nothing to score in them; empty where there is.
    """
    named = {"protocol": CONTROLLED, "scorer": NO_SCORER}
    return named | _untestable(
        fisher,
        layer,
        unread
        or f"no scorer scores texts of {trait}: a scorer is fitted and validated on labelled texts "
        f"of both poles, which go to labelled/{trait}.jsonl of the catalog",
    )


def _untestable(fisher: dict[str, object], layer: int, reason: str) -> dict[str, object]:
    return {
        "layer": layer,
        "efficacy": None,
        "efficacy_low": None,
        "efficacy_high": None,
        "verdict": "untestable",
        "reason": reason,
        "null_fraction_fisher": fisher["null_fraction"],
        "sampling_floor_fisher": fisher["sampling_floor"],
        "look": None,
        "n_texts": None,
        **{f"n_{name}": 0 for name in VERDICTS},
    }
