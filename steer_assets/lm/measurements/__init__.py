"""Activations, logits, likelihoods and derivatives at chosen blocks."""
