"""The stages of the graph, in pipeline order; importing this package registers them all."""

from steer_assets.assets.inputs import prompt_sets, model_snapshot  # noqa: I001 - pipeline order
from steer_assets.assets.geometry import activation_caches
from steer_assets.assets.vectors import steering_calibration
from steer_assets.assets.geometry import covariance_matrices, svd_spectra, behavioral_spectra
from steer_assets.assets.vectors import vector_families
from steer_assets.assets.protocols import protocol_vectors, protocol_measures
from steer_assets.assets.vectors import logit_distances
from steer_assets.assets.evidence import (
    generations,
    text_divergences,
    fluency,
    scorer_validation,
    classifier_scores,
    text_fisher,
)
from steer_assets.assets.protocols import protocol_comparison
from steer_assets.assets.reports import (
    equivalence_reports,
    identifiability_summary,
    changes_since_last,
)
from steer_assets.pipeline.stage import STAGES

__all__ = [
    "STAGES",
    "activation_caches",
    "behavioral_spectra",
    "changes_since_last",
    "classifier_scores",
    "covariance_matrices",
    "equivalence_reports",
    "fluency",
    "generations",
    "identifiability_summary",
    "logit_distances",
    "model_snapshot",
    "prompt_sets",
    "protocol_comparison",
    "protocol_measures",
    "protocol_vectors",
    "scorer_validation",
    "steering_calibration",
    "svd_spectra",
    "text_divergences",
    "text_fisher",
    "vector_families",
]
