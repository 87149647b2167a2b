"""The Dagster definitions; `workspace.yaml` and `dagster dev -m` load this module."""

from steer_assets.automation.code_location import defs

__all__ = ["defs"]
