"""The stages of the graph, in pipeline order; importing this package registers them all."""

from steer_assets.assets import (  # noqa: I001 - pipeline order
    prompt_sets,
    model_snapshot,
    activation_caches,
    covariance_matrices,
    svd_spectra,
    behavioral_spectra,
    vector_families,
    protocol_vectors,
    protocol_measures,
    logit_distances,
    generations,
    scorer_validation,
    classifier_scores,
    protocol_comparison,
    equivalence_reports,
    identifiability_summary,
)

__all__ = [
    "activation_caches",
    "behavioral_spectra",
    "classifier_scores",
    "covariance_matrices",
    "equivalence_reports",
    "generations",
    "identifiability_summary",
    "logit_distances",
    "model_snapshot",
    "prompt_sets",
    "protocol_comparison",
    "protocol_measures",
    "protocol_vectors",
    "scorer_validation",
    "svd_spectra",
    "vector_families",
]
