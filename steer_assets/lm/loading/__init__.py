"""From a source of weights to a loaded model."""
