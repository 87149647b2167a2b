"""Effects, equivalence, bootstrap, power and multiplicity: arrays in, plain numbers out."""

# Submodules are imported on use, because some take seconds.
__all__ = [
    "agreement",
    "divergences",
    "effects",
    "intervals",
    "sampling_noise",
    "sequential",
    "validation",
    "verdicts",
]
