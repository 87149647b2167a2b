"""One module per theme; a function takes the evidence, gives a figure or says what is absent."""
