"""The stages of the graph, in pipeline order; importing this package registers them all."""

from steer_assets.assets import (  # noqa: I001 - pipeline order
    prompt_sets,
    model_snapshot,
    activation_caches,
    covariance_matrices,
    svd_spectra,
    behavioral_spectra,
    vector_families,
    logit_distances,
    generations,
)

__all__ = [
    "activation_caches",
    "behavioral_spectra",
    "covariance_matrices",
    "generations",
    "logit_distances",
    "model_snapshot",
    "prompt_sets",
    "svd_spectra",
    "vector_families",
]
