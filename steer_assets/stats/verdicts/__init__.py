"""Tests, their power, multiplicity, and verdicts on comparisons."""
