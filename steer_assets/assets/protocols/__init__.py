"""Group `protocols`: the published procedure, with each switch on and off."""
