"""Numbers of a report that MLflow draws: a chart a scorer, blocks as steps, a line for every run.

MLflow puts metrics with the same word before `/` into one section of charts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from mlflow.entities import Metric

#: Metric -> block -> value.
ByBlock = dict[str, dict[int, float]]
_CONTROLLED = pl.col("protocol") == "controlled"
_FAMILY = "base_plus_orthogonal"


def numbers(tables: Mapping[str, pl.DataFrame]) -> ByBlock:
    """Efficacy of v, distance of v + v_perp from v, Fisher null fraction, blocks by verdict.

    tables: rows of a stage by table; without those of reports nothing is found. Differences are the
    largest of all seeds, in standard deviations, at the dose with most seeds.
    """
    found: ByBlock = {}
    if "equivalence_reports" in tables:
        own = tables["equivalence_reports"].filter(_CONTROLLED)
        for column in ("efficacy", "efficacy_low", "efficacy_high"):
            rows = own.select("scorer", "layer", column).drop_nulls()
            _put(found, column.replace("efficacy_", "efficacy "), rows.iter_rows())
        fisher = own.select(pl.lit("fisher"), "layer", "null_fraction_fisher").unique()
        _put(found, "null fraction", fisher.iter_rows())
        for verdict in ("equivalent", "different", "inconclusive", "untestable"):
            counted = own.group_by("scorer").agg((pl.col("verdict") == verdict).sum())
            _put(found, f"verdict {verdict}", ((s, 0, n) for s, n in counted.iter_rows()))
    if "equivalence_tests" in tables:
        _put(found, "difference from v", _differences(tables["equivalence_tests"]).iter_rows())
    return found


def steps_of(numbers: Mapping[str, Mapping[int, float]]) -> list[Metric]:
    """MLflow's metrics of numbers by name and step, as of now."""
    from mlflow.entities import Metric

    now = int(1000 * time.time())
    return [
        Metric(name, value, now, step)
        for name, values in numbers.items()
        for step, value in values.items()
    ]


def _put(found: ByBlock, name: str, rows: Iterable[tuple[str, int, float]]) -> None:
    for of, layer, value in rows:
        found.setdefault(f"{name}/{of}", {})[layer] = float(value)


def _differences(tests: pl.DataFrame) -> pl.DataFrame:
    """scorer, layer, largest difference."""
    own = tests.filter(
        _CONTROLLED,
        pl.col("comparison") == "against_base",
        pl.col("family") == _FAMILY,
        pl.col("environment") == "pooled",
        pl.col("margin_kind") == "sd",
        pl.col("verdict") != "descriptive",
    )
    by_dose = own.group_by("scorer", "layer", "alpha").agg(
        pl.len().alias("seeds"), pl.col("cohens_d").abs().max().alias("largest")
    )
    most = by_dose.sort("seeds", "alpha", descending=[True, False])
    first = most.group_by("scorer", "layer", maintain_order=True).first()
    return first.select("scorer", "layer", "largest").sort("scorer", "layer")
