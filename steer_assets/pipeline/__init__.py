"""What a stage is, its Dagster asset, and whether a stored result is what it would make today."""
