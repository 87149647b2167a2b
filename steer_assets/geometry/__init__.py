"""Moments, spectra, ranks, null spaces and families of steering vectors: NumPy in and out."""

# Modules are imported where they are named: some take seconds.
__all__ = [
    "control_vector",
    "directions",
    "dose",
    "errors",
    "families",
    "family_inputs",
    "family_recipes",
    "kl",
    "null_spaces",
    "pickles",
    "validation",
    "vector_files",
    "vector_ids",
    "vector_layers",
]
