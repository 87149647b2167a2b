"""Moments, spectra, ranks, null spaces and families of steering vectors: NumPy in and out."""

# Submodules are imported on use, because some take seconds.
__all__ = [
    "control_vector",
    "directions",
    "dose",
    "errors",
    "families",
    "family_inputs",
    "family_recipes",
    "iso_divergence",
    "kl",
    "null_spaces",
    "pickles",
    "validation",
    "vector_files",
    "vector_ids",
    "vector_layers",
]
