"""Group-sequential tests: how much of the level each look spends, and when to stop."""
