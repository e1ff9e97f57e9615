"""The rules by which landed rows are read, refused, recognised and stored, as SQL that a warehouse runs.

Here: pure functions from a declaration to statements. Not here: files and connections (landing.folder).
"""

from typing import Any

Statement = tuple[str, dict[str, Any]]
"""SQL and the parameters that go with it."""

Slice = tuple[str, tuple[str, ...], str, dict[str, Any]]
"""A table that statements read, its columns that they read, the condition of the rows, and its parameters."""
