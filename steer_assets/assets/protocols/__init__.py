"""Group `protocols`: the published procedure, switch by switch."""
