"""Stages, their Dagster assets, and the freshness of stored results."""
