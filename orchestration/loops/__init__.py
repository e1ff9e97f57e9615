"""What differs between loops: one declaration a module, no I/O, nothing of Dagster."""
