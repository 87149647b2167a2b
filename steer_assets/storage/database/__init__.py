"""The DuckDB database: loading from Parquet, and queries."""
