"""Self-test: trials of the assumptions of all measurements on a model before it is used."""
