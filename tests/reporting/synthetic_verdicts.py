"""Tests, families and reports of the synthetic partition, from the scores of its texts."""

import math
from typing import Any

import numpy as np

from .synthetic_arms import ENVIRONMENTS, LAYERS, arms


def tests(by_arm: dict) -> list[dict[str, Any]]:
    rows = []
    for comparison in ("efficacy", "against_base"):
        for vector_id, family, layer, alpha, _ in arms():
            reference = "none" if comparison == "efficacy" else f"L{layer}.base"
            if vector_id == reference:
                continue
            key = (reference, 0.0 if reference == "none" else alpha)
            for environment in ("pooled", *ENVIRONMENTS):
                rows += _comparison(
                    by_arm[vector_id, alpha], by_arm[key], by_arm["none", 0.0], environment,
                    {"comparison": comparison, "vector_id": vector_id, "reference_id": reference,
                     "family": family, "layer": layer, "alpha": alpha},
                )  # fmt: skip
    return rows


def _comparison(
    a: list, b: list, unsteered: list, environment: str, keys: dict
) -> list[dict[str, Any]]:
    keep = [environment in ("pooled", e) for e, _ in a]
    x, y, plain = (
        np.array([s for (_, s), k in zip(v, keep, strict=True) if k]) for v in (a, b, unsteered)
    )
    difference = (x - y).reshape(-1, 2).mean(1)
    sd = plain.std(ddof=1)
    effect, se = difference.mean(), difference.std(ddof=1) / math.sqrt(len(difference))
    low, high = effect - 2 * se, effect + 2 * se
    rows = []
    for kind, margin in (("sd", 0.2 * sd), ("efficacy", 0.16)):
        p_difference = math.erfc(abs(effect) / se / math.sqrt(2))
        p_equivalence = math.erfc(max(0.0, (margin - abs(effect)) / se) / math.sqrt(2)) / 2
        verdict = "inconclusive"
        if p_equivalence < 0.05:
            verdict = "equivalent"
        elif p_difference < 0.05:
            verdict = "different"
        rows.append({
            **keys, "environment": environment, "margin_kind": kind, "n_prompts": len(difference),
            "n_pairs": len(x), "effect": effect, "cohens_d": effect / sd, "hedges_g": effect / sd,
            "unit_sd": sd, "d_low": low / sd, "d_high": high / sd,
            "ci_low": low, "ci_high": high, "margin": margin, "p_difference": p_difference,
            "p_equivalence": p_equivalence, "p_difference_adjusted": p_difference,
            "p_equivalence_adjusted": p_equivalence, "power": 0.6, "n_prompts_needed": 61,
            "verdict": verdict, "reason": "computed for a test",
        })  # fmt: skip
    return rows


def families(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Summary over the seeds."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for t in tests:
        if t["comparison"] == "against_base":
            key = (t["family"], t["layer"], t["alpha"], t["environment"], t["margin_kind"])
            groups.setdefault(key, []).append(t)
    rows = []
    for (family, layer, alpha, environment, kind), own in groups.items():
        inside = sum(t["p_equivalence"] < 0.05 for t in own)
        verdicts = {t["verdict"] for t in own}
        (verdict,) = verdicts if len(verdicts) == 1 else ("inconclusive",)
        verdict = "different" if "different" in verdicts else verdict
        rms = math.sqrt(np.mean([t["cohens_d"] ** 2 for t in own]))
        rows.append({
            "family": family, "layer": layer, "alpha": alpha, "environment": environment,
            "margin_kind": kind, "n_seeds": len(own), "n_inside": inside,
            "share_inside": inside / len(own), "share_low": 0.1 * inside, "share_high": 1.0,
            "rms_effect": rms, "rms_upper": rms + 0.05, "power": 0.6, "n_prompts_needed": 61,
            "p_equivalence": max(t["p_equivalence"] for t in own),
            "p_difference": min(t["p_difference"] for t in own),
            "p_equivalence_adjusted": max(t["p_equivalence"] for t in own),
            "p_difference_adjusted": min(t["p_difference"] for t in own),
            "verdict": verdict, "reason": "computed for a test",
        })  # fmt: skip
    return rows


def reports(tests: list[dict[str, Any]], families: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for layer in LAYERS:
        at = {"layer": layer, "environment": "pooled", "alpha": 1.0, "margin_kind": "sd"}
        here = [t for t in tests if at.items() <= t.items()]
        (v,) = (t for t in here if t["comparison"] == "efficacy" and t["family"] == "base")
        against = [t for t in here if t["comparison"] == "against_base"]
        wanted = at | {"family": "base_plus_orthogonal"}
        (headline,) = (f for f in families if wanted.items() <= f.items())
        counts = {
            f"n_{name}": sum(t["verdict"] == name for t in against)
            for name in ("equivalent", "different", "inconclusive", "untestable")
        }
        rows.append({
            "layer": layer, "efficacy": v["cohens_d"], "efficacy_low": v["d_low"],
            "efficacy_high": v["d_high"], "verdict": headline["verdict"],
            "reason": headline["reason"], "null_fraction_fisher": 0.71,
            "sampling_floor_fisher": 0.66, **counts,
        })  # fmt: skip
    return rows
