"""One module per theme; a function takes the evidence and returns a figure or why there is none."""
