"""Group `evidence`: steered texts, their fluency, and their scores."""
