"""What one check of `flywheel doctor` found.

Here: the finding. Not here: the checks (doctor, connections).
"""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "fails"]


@dataclass(frozen=True)
class Finding:
    """What one check found; `remedy` says what to do unless it is fine."""

    check: str
    state: State
    found: str
    remedy: str = ""
