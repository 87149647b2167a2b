"""The design of the experiment: vectors, doses, prompts, protocols, and random streams."""
