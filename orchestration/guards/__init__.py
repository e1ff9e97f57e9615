"""Judges of text: pure functions from a draft to a verdict, knowing neither Dagster nor I/O."""
