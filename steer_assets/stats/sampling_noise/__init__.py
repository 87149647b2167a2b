"""Effects of sampling noise on differences and correlations."""
