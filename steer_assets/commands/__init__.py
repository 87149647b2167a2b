"""The commands of `steer`, one module per noun."""
