"""Effects, equivalence, bootstrap, power and multiplicity: arrays in, plain numbers out."""

# Modules are imported where they are named: some take seconds.
__all__ = [
    "agreement",
    "effects",
    "intervals",
    "sampling_noise",
    "sequential",
    "validation",
    "verdicts",
]
