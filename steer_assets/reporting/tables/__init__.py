"""Tables: those that a paper prints, and the formats they are written in."""
