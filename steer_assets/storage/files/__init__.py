"""Files that are whole or absent, their formats, and hashes of their content."""
