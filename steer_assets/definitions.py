"""What Dagster loads: `workspace.yaml` and `dagster dev -m` name this module."""

from steer_assets.automation.code_location import defs

__all__ = ["defs"]
