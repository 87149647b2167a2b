"""Effect sizes per prompt and over seeds, and the standard deviation they are measured in."""
