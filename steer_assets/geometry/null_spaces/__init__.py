"""Spectra, their null spaces, and the reliability of these."""
