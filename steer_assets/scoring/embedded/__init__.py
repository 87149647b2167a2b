"""The embedded sentence encoder, and heads that are fitted on it."""
