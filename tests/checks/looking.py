"""A check of the finished run, carried out without Dagster."""

from steer_assets.checks.harness import LOOKS, Finding, carry_out
from tests.finished import stored
from tests.tiny import World


def look(world: World, stage: str, name: str) -> Finding:
    """What a check finds in the stored partition."""
    return carry_out(LOOKS[stage, name], stored(world, stage))
