"""Are steering vectors identifiable? Evidence for any model and trait, as Dagster assets."""

__version__ = "0.1.0"
