"""Are steering vectors identifiable? Evidence for any model and trait, as a Dagster data product."""

__version__ = "0.1.0"
