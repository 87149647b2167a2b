"""What the prompts of a trait are made of: contexts, templates, environments, resemblance."""
