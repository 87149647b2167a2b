"""Details of the comparisons in the synthetic partition: doses, protocols, spread, scorers.

Two scorers scored; a third one of the study was not available.
"""

from typing import Any

import numpy as np

Row = dict[str, Any]
LAYERS = (15, 20)
SCORERS = ["minilm", "twitter-roberta-sentiment", "lm-judge"]
_DIRECTIONS = (
    ("base_plus_null", "fisher", 0.002),
    ("base_plus_null", "covariance", 0.1),
    ("base_plus_range", "fisher", 1.5),
    ("orthogonal", "", 0.2),
)


def doses() -> list[Row]:
    """KL around v: quadratic for short steps, less for long ones."""
    rows = []
    for layer in LAYERS:
        for family, kind, gain in _DIRECTIONS:
            for dose in (0.25, 0.5, 1.0, 2.0, 4.0):
                predicted = 0.05 * gain * dose**2
                for k, prompt in enumerate(("a", "b", "c")):
                    rows.append({
                        "layer": layer, "reference_id": f"L{layer}.base",
                        "vector_id": f"L{layer}.{family}.{kind}".rstrip("."), "family": family,
                        "null_space": kind, "step_norm": 8.0 * dose, "dose": dose,
                        "relative_step": dose / 10, "environment": "in_distribution",
                        "prompt_id": prompt, "predicted_kl": predicted,
                        "kl": predicted * (0.8 + 0.2 * k) / (1 + 0.5 * predicted),
                    })  # fmt: skip
    return rows


def whole_texts() -> list[Row]:
    """v against unsteered, and v + v_perp: nearly v's texts at block 15, plainly others at 20."""
    rows = []
    for layer in LAYERS:
        v = f"L{layer}.base"
        arms = [(v, "base", "none", 0.9)] + [
            (
                f"L{layer}.base_plus_orthogonal.s{seed}",
                "base_plus_orthogonal",
                v,
                share + 0.01 * seed,
            )
            for seed in (0, 1)
            for share in [0.05 if layer == 15 else 0.8]
        ]
        for vector_id, family, reference, variation in arms:
            for n_tokens in (1, 2, 4, 8, 16, 24):
                part = variation * n_tokens / 24
                low, high = max(0.0, part - 0.02), min(1.0, part + 0.02)
                verdict = "certified" if high < 0.1 else "open" if low < 0.1 else "distinguishable"
                ends = {"": part, "_low": low, "_high": high}
                rows.append({
                    "layer": layer, "vector_id": vector_id, "family": family, "alpha": 1.0,
                    "reference_id": reference, "environment": "pooled", "n_tokens": n_tokens,
                    "n_prompts": 28, "n_texts": 28, "bound_for_any_score": high,
                    "text_verdict": verdict,
                    **{f"total_variation{end}": value for end, value in ends.items()},
                    **{f"observer_auroc{end}": 0.5 + value / 2 for end, value in ends.items()},
                    **{f"kl{end}": 2 * value**2 for end, value in ends.items()},
                })  # fmt: skip
    return rows


def text_steps() -> list[Row]:
    """The law along v_perp, and a null space of few texts whose direction moves others."""
    kinds = (("orthogonal.s0", "base_plus_orthogonal", "", 1.0, 1.0),
             ("null.text.s0", "base_plus_null", "text", 0.01, 0.6),
             ("range.text.s0", "base_plus_range", "text", 4.0, 3.0))  # fmt: skip
    return [
        {
            "layer": layer, "vector_id": f"L{layer}.base_plus_{name}", "family": family,
            "null_space": space, "alpha": 1.0, "multiple": multiple, "step_norm": 20 * multiple,
            "n_texts": 8,
            **{f"kl{end}": x * measured * multiple**2 for end, x in ends.items()},
            **{f"predicted_kl{end}": x * predicted * multiple**2 for end, x in ends.items()},
        }
        for ends in [{"": 1.0, "_low": 0.7, "_high": 1.4}]
        for layer in LAYERS
        for name, family, space, predicted, measured in kinds
        for multiple in (0.25, 0.5, 1.0)
    ]  # fmt: skip


def calibration() -> list[Row]:
    """Two blocks given by hand, at their dose of equal divergence, half of it, and dose 1."""
    return [
        {
            "layer": layer, "alpha": alpha, "iso_multiple": alpha / iso, "step_norm": 8.0 * alpha,
            "effect": effect, "effect_low": effect - 0.5, "effect_per_nat": effect,
            "unit_sd": 1.0, "next_token_kl_p95": (alpha / iso) ** 2, "target_kl": 1.0,
            "next_token_kl": 0.4 * (alpha / iso) ** 2, "perplexity_ratio": 1 + alpha,
            "repetition": 0.0, "fluent": True, "steerable": effect > 0.5,
            "chosen": "given" if alpha == 1.0 else "no", "rank": 0, "scorer": SCORERS[0],
            "split": "calibration", "n_prompts": 24, "n_texts": 20, "reason": "",
        }
        for layer, iso in zip(LAYERS, (2.5, 4.0), strict=True)
        for alpha, effect in ((iso / 2, 0.4), (1.0, 0.3), (iso, -0.2))
    ]  # fmt: skip


def radii() -> list[Row]:
    """Longest steps within a tolerance; the Fisher null space outlasts the longest one tried."""
    rows = []
    for layer in LAYERS:
        for family, kind, gain in _DIRECTIONS:
            for tolerance in (0.001, 0.01, 0.1):
                steep = gain * (9 if layer == 20 else 1)
                radius = 8.0 * (tolerance / (0.05 * steep)) ** 0.5
                rows.append({
                    "layer": layer, "reference_id": f"L{layer}.base",
                    "vector_id": f"L{layer}.{family}.{kind}".rstrip("."), "family": family,
                    "null_space": kind, "n_prompts": 3, "tolerance": tolerance,
                    "predicted_radius": min(radius, 32.0), "predicted_reached": radius < 32,
                    "measured_radius": min(1.1 * radius, 32.0),
                    "measured_reached": 1.1 * radius < 32, "largest_step": 32.0,
                    "quadratic_limit": 8.0,
                })  # fmt: skip
    return rows


def spread(tests: list[Row]) -> list[Row]:
    """Heterogeneity of every pooled comparison at dose 1; layer 20 helps some and hurts others."""
    return [
        {
            **_compared(t), "effect": t["effect"],
            "tau": 0.2 if t["layer"] == 20 else 0.02, "tau_low": 0.01, "tau_high": 0.3,
            "share_of_variance": 0.4, "p": 0.001 if t["layer"] == 20 else 0.4,
            "p_crossover": 0.03, "share_opposite": 0.2,
        }
        for t in _pooled(tests)
    ]  # fmt: skip


def _pooled(tests: list[Row]) -> list[Row]:
    return [t for t in tests if t["environment"] == "pooled" and t["margin_kind"] == "sd"]


def _compared(test: Row) -> Row:
    names = ("comparison", "vector_id", "reference_id", "family", "layer", "alpha", "n_prompts")
    return {name: test[name] for name in names}


def noise(tests: list[Row]) -> list[Row]:
    """Common random numbers are worth half of the samples."""
    return [
        {**_compared(t), "ratio": 0.5, "low": 0.4, "high": 0.6, "paired_variance": 0.1,
         "independent_variance": 0.2}
        for t in _pooled(tests)
    ]  # fmt: skip


def correlations(tests: list[Row]) -> list[Row]:
    return [
        {**_compared(t), "correlation": 0.5, "low": 0.3, "high": 0.7, "ceiling": 0.8,
         "reliability": 0.7, "reliability_of_v": 0.9}
        for t in _pooled(tests)
    ]  # fmt: skip


def crossed(tests: list[Row]) -> list[Row]:
    """Of v + v_perp over prompts and seeds."""
    return [
        {**_compared(t), "n_seeds": 3, "effect": t["effect"], "ci_low": t["effect"] - 0.2,
         "ci_high": t["effect"] + 0.2}
        for t in _pooled(tests)
        if t["family"] == "base_plus_orthogonal"
    ]  # fmt: skip


def fluency(generations: list[str], rng: np.random.Generator) -> list[Row]:
    """Of every text; those of the PCA arm at layer 15 are broken."""
    return [
        {
            "generation_id": key, "n_words": 40, "distinct_1": 0.7, "distinct_2": 0.9,
            "distinct_3": 0.95,
            "repetition": 0.7 if key.startswith("L15.pca") else float(rng.uniform(0, 0.1)),
            "perplexity": float(rng.lognormal(2.5, 0.3))
            * (20 if key.startswith("L15.pca") else 1),
        }
        for key in generations
    ]  # fmt: skip


def agreement() -> list[Row]:
    pair = {"scorer_a": "minilm", "scorer_b": "twitter-roberta-sentiment", "n_prompts": 28}
    return [
        {**pair, "what": "texts", "spearman": 0.81, "low": 0.7, "high": 0.9, "kappa": 0.6},
        {**pair, "what": "effects of L15.base at 1", "spearman": 0.42, "low": 0.1, "high": 0.7,
         "kappa": 0.3},
    ]  # fmt: skip


def dimensions() -> list[Row]:
    """The covariance's rank grows with the prompts, the Fisher form's has settled."""
    rows = []
    for layer in LAYERS:
        for n in (30, 60, 120, 240):
            for kind, value in (("covariance", 0.6 * n), ("jacobian", 300.0), ("fisher", 160.0)):
                rows.append({
                    "layer": layer, "kind": kind, "estimator": "variance_99", "n_prompts": n,
                    "value": value, "null_fraction": 1 - value / 576,
                    "sampling_floor": max(0, 1 - (n - 1 if kind == "covariance" else 11 * n) / 576),
                })  # fmt: skip
    return rows


def angles() -> list[Row]:
    kinds = ("in_distribution", "topic_shift", "genre_shift")
    return [
        {"layer": layer, "compared": "environments", "kind": "covariance", "environment": a,
         "other_kind": "covariance", "other_environment": b, "rank": 30, "other_rank": 20,
         "ambient_dim": 576, "null_energy": 0.35, "own_null_energy": 0.2, "overlap": 0.6,
         "expected_overlap": 0.05}
        for layer in LAYERS
        for a in kinds
        for b in kinds
        if a != b
    ]  # fmt: skip
