"""Group `vectors`: steering vectors, and what each does to the next token."""
