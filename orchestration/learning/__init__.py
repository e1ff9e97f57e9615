"""What is learned and how it is proven: pure functions on arrays and tables, knowing neither Dagster nor I/O."""
