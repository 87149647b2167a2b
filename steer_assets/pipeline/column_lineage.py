"""The upstream columns from which each column of an asset's table is computed.

The lineage is declared, not inferred from names: `table.column` of the asset's main table on the
left, columns of upstream assets on the right. Values stored in files (activations, matrices, bases,
vectors) are represented by the column that holds their path or hash.
"""

#: The main table of an asset whose name differs from the asset's.
MAIN_TABLE = {
    "model_snapshot": "models",
    "vector_families": "steering_vectors",
    "protocol_comparison": "protocol_findings",
    "text_fisher": "text_spectra",
    "changes_since_last": "verdict_history",
}

_ACTIVATIONS = "activation_caches.sha256"
_MATRICES = "covariance_matrices.path"
_VECTORS = "vector_families.sha256"
_WEIGHTS = "model_snapshot.sha256"
_TEXTS = "prompt_sets.text"
_SCORES = "classifier_scores.score"
_NEXT_TOKEN = f"{_WEIGHTS} {_TEXTS} {_VECTORS}"
_PROTOCOL = "protocol_measures.protocol generations.protocol"

_SOURCES: dict[str, dict[str, str]] = {
    "activation_caches": {
        "n_prompts": "prompt_sets.prompt_id",
        "hidden_size": "model_snapshot.hidden_size",
        "bytes": "model_snapshot.hidden_size prompt_sets.prompt_id",
        "sha256": f"{_WEIGHTS} {_TEXTS}",
    },
    "steering_calibration": {
        "layer": "activation_caches.layer",
        "step_norm": _ACTIVATIONS,
        "n_prompts": "prompt_sets.prompt_id",
        **dict.fromkeys(
            (
                "alpha", "iso_multiple", "effect", "effect_low", "effect_per_nat", "unit_sd",
                "next_token_kl_p95", "next_token_kl", "perplexity_ratio", "repetition", "fluent",
                "steerable", "chosen", "rank", "reason",
            ),
            f"{_WEIGHTS} {_TEXTS} {_ACTIVATIONS}",
        ),
    },
    "covariance_matrices": {
        "layer": "activation_caches.layer",
        "environment": "prompt_sets.environment",
        "n_samples": "prompt_sets.prompt_id",
        "trace": _ACTIVATIONS,
        "max_eigenvalue": _ACTIVATIONS,
        "condition_number": _ACTIVATIONS,
        "path": _ACTIVATIONS,
    },
    "svd_spectra": {
        "layer": "covariance_matrices.layer",
        "environment": "covariance_matrices.environment",
        "singular_value": _MATRICES,
        "explained_variance": _MATRICES,
        "cumulative_variance": _MATRICES,
        "noise_edge": f"{_MATRICES} covariance_matrices.n_samples",
    },
    "behavioral_spectra": {
        "layer": "activation_caches.layer",
        "n_prompts": "prompt_sets.prompt_id",
        "singular_value": f"{_WEIGHTS} {_TEXTS} {_ACTIVATIONS}",
    },
    "vector_families": {
        "layer": "activation_caches.layer",
        "norm": f"{_ACTIVATIONS} prompt_sets.polarity",
        "cosine_to_base": f"{_ACTIVATIONS} prompt_sets.polarity",
        "null_energy_covariance": f"{_ACTIVATIONS} svd_spectra.singular_value",
        "null_energy_jacobian": f"{_ACTIVATIONS} behavioral_spectra.singular_value",
        "null_energy_fisher": f"{_ACTIVATIONS} behavioral_spectra.singular_value",
        "sha256": f"{_ACTIVATIONS} prompt_sets.polarity",
        "path": _ACTIVATIONS,
    },
    "protocol_vectors": {
        "norm": f"{_WEIGHTS} {_TEXTS}",
        "sha256": f"{_WEIGHTS} {_TEXTS}",
        "path": f"{_WEIGHTS} {_TEXTS}",
        "reason": f"{_WEIGHTS} {_TEXTS}",
    },
    "protocol_measures": {
        "layer": "protocol_vectors.layer",
        "n_prompts": "prompt_sets.prompt_id",
        **dict.fromkeys(
            ("value", "low", "high", "by_itself", "reason"),
            f"{_WEIGHTS} {_TEXTS} protocol_vectors.sha256",
        ),
    },
    "logit_distances": {
        "vector_id": "vector_families.vector_id",
        "reference_id": "vector_families.vector_id",
        "layer": "vector_families.layer",
        "environment": "prompt_sets.environment",
        "prompt_id": "prompt_sets.prompt_id",
        "displacement": "vector_families.sha256",
        **dict.fromkeys(
            (
                "l2", "kl", "js", "top1_agreement", "top10_overlap", "predicted_kl",
                "displacement_floor",
            ),
            _NEXT_TOKEN,
        ),
    },
    "generations": {
        "generation_id": "vector_families.vector_id prompt_sets.prompt_id",
        "vector_id": "vector_families.vector_id protocol_vectors.vector_id",
        "environment": "prompt_sets.environment",
        "prompt_id": "prompt_sets.prompt_id",
        "prompt": _TEXTS,
        **dict.fromkeys(
            (
                "text", "n_tokens", "finish_reason", "token_ids", "log_probability",
                "least_token_log_probability", "least_token",
            ),
            f"{_NEXT_TOKEN} protocol_vectors.sha256",
        ),
        "look": f"{_NEXT_TOKEN} prompt_sets.prompt_id",
    },
    "text_divergences": {
        "layer": "vector_families.layer",
        "vector_id": "generations.vector_id",
        "family": "vector_families.family",
        "null_space": "vector_families.null_space",
        "reference_id": "generations.vector_id",
        "environment": "prompt_sets.environment",
        "n_prompts": "generations.prompt_id",
        "n_texts": "generations.generation_id",
        **dict.fromkeys(
            (
                *(
                    f"{name}{end}"
                    for name in ("kl", "kl_reverse", "js", "total_variation", "observer_auroc")
                    for end in ("", "_low", "_high")
                ),
                "bound_for_any_score", "text_verdict",
            ),
            f"generations.token_ids {_NEXT_TOKEN}",
        ),
    },
    "fluency": {
        "generation_id": "generations.generation_id",
        **dict.fromkeys(
            ("n_words", "distinct_1", "distinct_2", "distinct_3", "repetition"), "generations.text"
        ),
        "perplexity": f"generations.text generations.prompt {_WEIGHTS}",
    },
    "classifier_scores": {
        "generation_id": "generations.generation_id",
        "score": "generations.text",
    },
    "text_fisher": {
        "layer": "vector_families.layer",
        "n_texts": "generations.generation_id",
        **dict.fromkeys(("singular_value", "noise_edge"), f"generations.token_ids {_NEXT_TOKEN}"),
    },
    "protocol_comparison": {
        "protocol": _PROTOCOL,
        "scorer": "classifier_scores.scorer",
        "layer": "protocol_measures.layer",
        "conclusion": "protocol_measures.conclusion",
        "quantity": "protocol_measures.quantity",
        **dict.fromkeys(
            ("as_published", "controlled", "findings_without", "deciding", "sentence"),
            f"protocol_measures.value {_SCORES} scorer_validation.auroc_low",
        ),
        "touched": "protocol_measures.switch",
    },
    "equivalence_reports": {
        "protocol": "generations.protocol",
        "scorer": "classifier_scores.scorer",
        "layer": "vector_families.layer",
        **dict.fromkeys(
            ("efficacy", "efficacy_low", "efficacy_high", "look", "n_texts"),
            f"{_SCORES} generations.look",
        ),
        **dict.fromkeys(
            ("verdict", "reason", "n_equivalent", "n_different", "n_inconclusive", "n_untestable"),
            f"{_SCORES} scorer_validation.auroc_low fluency.perplexity fluency.repetition",
        ),
        "null_fraction_fisher": "behavioral_spectra.singular_value",
        "sampling_floor_fisher": "behavioral_spectra.n_prompts",
    },
    "identifiability_summary": {
        **{
            name: f"equivalence_reports.{name}"
            for name in (
                "protocol", "scorer", "layer", "verdict", "efficacy", "efficacy_low",
                "efficacy_high", "null_fraction_fisher", "sampling_floor_fisher", "n_equivalent",
                "n_different", "n_inconclusive", "n_untestable", "report_path", "model", "trait",
                "look", "n_texts",
            )
        },
        "null_fraction_covariance": "svd_spectra.singular_value",
        "sampling_floor_covariance": "svd_spectra.singular_value",
    },
    "changes_since_last": {
        name: f"identifiability_summary.{name}"
        for name in (
            "model", "trait", "protocol", "scorer", "layer", "verdict", "efficacy", "efficacy_low",
            "efficacy_high",
        )
    },
}  # fmt: skip


def main_table(asset: str) -> str:
    """The table that represents an asset in the UI."""
    return MAIN_TABLE.get(asset, asset)


def sources(asset: str) -> dict[str, list[tuple[str, str]]]:
    """Column of the asset's main table -> (asset, column) it is computed from."""
    found = {}
    for column, origins in _SOURCES.get(asset, {}).items():
        pairs = [origin.partition(".") for origin in dict.fromkeys(origins.split())]
        found[column] = [(upstream, name) for upstream, _, name in pairs]
    return found
