"""What goes with published results: their description for programs and for people."""
