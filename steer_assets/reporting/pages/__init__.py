"""Pages: the report of one model and trait, and the index over all."""
