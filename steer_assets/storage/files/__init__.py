"""Atomic files, their formats, and hashes of their content."""
