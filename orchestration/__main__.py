"""`python -m orchestration` is the command `flywheel`."""

from orchestration.cli import app

app()
