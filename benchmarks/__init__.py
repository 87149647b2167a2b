"""Side-by-side measurements of the engine and the published way: ``python -m benchmarks``."""
