"""Group `vectors`: steering vectors, and their effect on the next-token distribution."""
