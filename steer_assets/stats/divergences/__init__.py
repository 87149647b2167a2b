"""Divergences between the texts of two arms, from exact log-likelihoods, and what they bound."""
