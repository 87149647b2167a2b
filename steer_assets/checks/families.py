"""Checks of claims on families of vectors that differ only in seed."""

import polars as pl

from steer_assets.checks.harness import Finding, check
from steer_assets.geometry.vector_ids import ALONE
from steer_assets.pipeline.stage import StageRun


@check("equivalence_reports", blocking=True)
def headlines_rest_on_families(stored: StageRun) -> Finding:
    """Claims on a family hold for its seeds: it is equivalent only if every seed is."""
    families = stored.rows("family_tests")
    keys = ["protocol", "scorer", "family", "null_space", "layer", "alpha", "environment"]
    keys.append("margin_kind")
    seeds = (
        stored.rows("equivalence_tests")
        .filter(pl.col("comparison") == "against_base", pl.col("verdict") != "descriptive")
        .group_by(keys)
        .agg(pl.col("verdict").alias("of_seeds"), pl.len().alias("stored"))
    )
    alone = pl.col("family").str.split(".").list.first().is_in(ALONE)
    beside = families.filter(~alone).join(seeds, on=keys, how="left")
    for row in beside.iter_rows(named=True):
        found = set(row["of_seeds"] or [])
        name = f"{row['family']} at block {row['layer']} ({row['environment']})"
        if row["stored"] != row["n_seeds"]:
            return Finding(False, f"{name}: {row['stored'] or 0} tests of {row['n_seeds']} seeds")
        if row["verdict"] == "equivalent" and found != {"equivalent"}:
            return Finding(False, f"{name} is called equivalent, its seeds {sorted(found)}")
    return Finding(True, f"{len(families)} families, none equivalent beside a seed that is not")


CHECKS = [headlines_rest_on_families]
