"""Effects, equivalence, bootstrap, power and multiplicity: arrays in, plain numbers out."""
