"""Group `geometry`: activations, their covariances, and spectra."""
