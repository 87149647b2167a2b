"""The embedded sentence encoder, and heads fitted to its features."""
