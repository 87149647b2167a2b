"""Tables for papers, and their output formats."""
