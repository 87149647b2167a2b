"""Layouts that trait files come in, other than our YAML."""
