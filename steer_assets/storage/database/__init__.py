"""DuckDB, loaded from Parquet, and questions to it."""
