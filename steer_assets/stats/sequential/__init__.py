"""Group-sequential tests: the level spent at each look, and stopping."""
