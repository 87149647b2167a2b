"""What sampling noise does to differences and correlations."""
