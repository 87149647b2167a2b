"""Checks of the protocols: their vectors, numbers and conclusions."""

import hashlib

import numpy as np
import polars as pl

from steer_assets.catalog.protocols import CONTROLLED, variants
from steer_assets.checks.harness import Finding, check
from steer_assets.checks.looks import planned_samples
from steer_assets.geometry.vector_ids import base_id
from steer_assets.pipeline.design import prompt_selection, protocol_sites
from steer_assets.pipeline.design.protocol_settings import AS_PUBLISHED, TOUCHED
from steer_assets.pipeline.design.protocol_settings import CONTROLLED as CONTROLLED_SETTING
from steer_assets.pipeline.design.site_vectors import made_arms, read_site
from steer_assets.pipeline.stage import StageRun

_NONE = Finding(True, "the study has no protocol besides the controlled one")


def _protocol_layers(stored: StageRun) -> list[int]:
    return protocol_sites.layers(stored.study, stored.model_facts()["n_layers"])


def expected_texts(stored: StageRun) -> dict[str, int]:
    """Expected number of texts of each protocol and variant: arms x prompts x samples.

    With several looks, of the arms that the decisions of earlier looks let go on.
    """
    study, table = stored.study, stored.rows("prompt_sets")
    expected = {CONTROLLED: sum(planned_samples(stored).values())}
    if study.protocol_texts is None:
        return expected
    n_prompts = len(prompt_selection.protocol_tests(table, study))
    for protocol in study.switched_protocols:
        for name in variants(protocol):
            of_layers = (
                arm
                for layer in _protocol_layers(stored)
                for arm in made_arms(stored, protocol, name, layer)
            )
            n_arms = len(set(protocol_sites.with_unsteered(of_layers)))
            expected[name] = n_arms * n_prompts * study.protocol_texts.samples
    return expected


def _not_made(rows: pl.DataFrame) -> list[tuple[str, str]]:
    named = pl.concat_str("vector_id", "site", separator=" at ")
    return rows.filter(pl.col("reason") != "").select(named, "reason").rows()


@check("protocol_vectors", blocking=True)
def protocol_vectors_are_what_they_are_called(stored: StageRun) -> Finding:
    """At every site: finite, not zero, as their rows say; v_perp orthogonal to that site's v."""
    rows = stored.rows("protocol_vectors")
    sites = protocol_sites.sites(stored.study)
    if not sites and rows.is_empty():
        return _NONE
    if missing := {site.name for site in sites} ^ set(rows["site"]):
        return Finding(False, f"vectors at {', '.join(sorted(missing))} are missing, or too many")
    worst = 0.0
    for site in sites:
        own = rows.filter((pl.col("site") == site.name) & (pl.col("reason") == ""))
        if own.is_empty():
            continue
        values = read_site(stored, site, own["vector_id"].to_list())
        by_id = dict(zip(own["vector_id"], values, strict=True))
        for row, vector in zip(own.iter_rows(named=True), values, strict=True):
            name, norm = f"{row['vector_id']} at {site.name}", float(np.linalg.norm(vector))
            if not np.isfinite(vector).all() or norm == 0:
                return Finding(False, f"{name} is zero or not finite")
            if abs(row["norm"] / norm - 1) > 1e-9:
                return Finding(False, f"{name} is {norm:.6g} long, its row says {row['norm']:.6g}")
            if hashlib.sha256(vector.tobytes()).hexdigest() != row["sha256"]:
                return Finding(False, f"{name} is not the vector that its row was written for")
            if row["family"] == "orthogonal":
                base = by_id[base_id(row["layer"])]
                cosine = abs(float(vector @ base) / (norm * float(np.linalg.norm(base))))
                worst = max(worst, cosine)
                if cosine > 1e-8:
                    return Finding(False, f"{name} has cosine {cosine:.2e} to v")
    return Finding(
        True,
        f"{len(rows)} vectors at {len(sites)} sites; v_perp has cosines of at most {worst:.1e}"
        + "".join(f"; no {one} ({why})" for one, why in _not_made(rows)),
        {"vectors": len(rows), "largest cosine": worst},
    )


def _numbers(rows: pl.DataFrame) -> str | None:
    """The problem with numbers and their intervals, or None."""
    inside = pl.col("value").is_between(
        pl.col("low") - 1e-9 * (1 + pl.col("value").abs()),
        pl.col("high") + 1e-9 * (1 + pl.col("value").abs()),
    )
    if n := len(rows.filter(~inside)):
        return f"{n} numbers lie outside their intervals"
    fractions = rows.filter(pl.col("quantity").str.ends_with("null_fraction"))
    if not fractions["value"].is_between(0, 1).all():
        return "a null fraction is no share"
    below = fractions.filter(pl.col("value") < pl.col("by_itself") - 1e-9)
    if len(below):
        row = below.row(0, named=True)
        return f"{row['quantity']} is {row['value']:.3f}, below its floor {row['by_itself']:.3f}"
    return None


@check("protocol_measures", blocking=True)
def measures_are_whole(stored: StageRun) -> Finding:
    """Every protocol and block as published and controlled; intervals hold numbers, or a reason."""
    rows, study = stored.rows("protocol_measures"), stored.study
    if wrong := _numbers(rows):
        return Finding(False, wrong)
    absent = pl.any_horizontal(pl.col("value", "low", "high").is_null())
    if len(bare := rows.filter(absent & (pl.col("reason") == ""))):
        return Finding(False, f"{len(bare)} numbers are missing without a reason")
    for protocol in study.switched_protocols:
        for layer in _protocol_layers(stored):
            own = rows.filter((pl.col("protocol") == protocol.name) & (pl.col("layer") == layer))
            for (quantity,), part in own.group_by("quantity", maintain_order=True):
                if lacking := {AS_PUBLISHED, CONTROLLED_SETTING} - set(part["setting"]):
                    return Finding(False, f"{quantity} of {protocol.name} lacks {min(lacking)}")
            if own.is_empty():
                return Finding(False, f"{protocol.name} has no number at block {layer}")
    n, unmeasured = len(rows.filter(~absent)), len(rows.filter(absent))
    words = f"{n} numbers" + (f", and why {unmeasured} could not be measured" if unmeasured else "")
    return Finding(True, words, {"numbers": n, "not measured": unmeasured})


@check("protocol_comparison", blocking=True)
def every_conclusion_is_answered(stored: StageRun) -> Finding:
    """A sentence for each published conclusion, and a number behind every finding."""
    findings, rows = stored.rows("protocol_findings"), stored.rows("protocol_comparison")
    if wrong := _numbers(rows):
        return Finding(False, wrong)
    asked = set(TOUCHED)
    for protocol in stored.study.switched_protocols:
        for layer in _protocol_layers(stored):
            own = findings.filter(
                (pl.col("protocol") == protocol.name) & (pl.col("layer") == layer)
            )
            answered = set(own.select("conclusion", "quantity").iter_rows())
            if missing := sorted(asked - answered):
                return Finding(
                    False, f"{' '.join(missing[0])} of {protocol.name} at {layer} has no finding"
                )
    identity = ["protocol", "scorer", "layer", "conclusion", "quantity"]
    if findings.select(identity).is_duplicated().any():
        return Finding(False, "a conclusion has two findings")
    numbered = findings.filter(pl.col("controlled").is_in(["holds", "fails", "undecided"]))
    behind = rows.filter(pl.col("setting") == CONTROLLED_SETTING).select(identity)
    if len(bare := numbered.join(behind, on=identity, how="anti")):
        return Finding(False, f"{bare.item(0, 'conclusion')} is decided without a number")
    return Finding(True, f"{len(findings)} findings from {len(rows)} numbers")


CHECKS = [
    protocol_vectors_are_what_they_are_called,
    measures_are_whole,
    every_conclusion_is_answered,
]
