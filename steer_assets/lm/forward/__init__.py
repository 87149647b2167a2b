"""Forward passes: shared prefixes, one token per row, edits of the residual stream."""
