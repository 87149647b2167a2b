"""Tests, their power, multiplicity, and what may be said of a comparison."""
