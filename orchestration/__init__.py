"""The generative growth flywheel: Dagster assets that generate, release, measure and learn, turn by turn."""
