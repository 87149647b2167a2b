"""Spectra, the null spaces they imply, and how far these can be believed."""
