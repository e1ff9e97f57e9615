"""The Dagster graph: what runs, in which order and when; the thinking is in the rooms beside it."""
