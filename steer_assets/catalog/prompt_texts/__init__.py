"""Parts of a trait's prompts: contexts, templates, environments, resemblance."""
