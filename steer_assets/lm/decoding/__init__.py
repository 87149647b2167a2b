"""Sampling of texts: batches of rows, noise, and the choice of each token."""
