"""Sampled texts of arms: their likelihoods under other arms, and the gradients of these."""
