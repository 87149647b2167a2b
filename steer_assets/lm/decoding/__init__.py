"""Sampling of texts: batches of rows, noise, and token selection."""
