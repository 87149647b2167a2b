"""Layouts of trait files, other than this package's YAML."""
