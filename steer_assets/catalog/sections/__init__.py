"""The sections of a study's file, and what their values may be."""
