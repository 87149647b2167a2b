"""The four environments of a trait's prompts."""

from typing import Literal

Environment = Literal["in_distribution", "topic_shift", "genre_shift", "safety_style"]
ENVIRONMENTS: tuple[Environment, ...] = (
    "in_distribution",
    "topic_shift",
    "genre_shift",
    "safety_style",
)
