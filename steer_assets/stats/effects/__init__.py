"""Effect sizes per prompt and over seeds, and their standardiser."""
