"""One module per theme; every function takes the evidence and gives a figure, or says what is absent."""
