"""Group `inputs`: prompts and the model."""
