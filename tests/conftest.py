"""Fixtures shared by the rooms of the platform."""

from tests.finished import finished, original

__all__ = ["finished", "original"]
