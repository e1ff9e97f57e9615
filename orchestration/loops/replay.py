"""The replay loop: past experiments of a team, gone through turn by turn as if the flywheel had run them.

Here: what a logged test brings (its texts, its days, whether its traffic split as planned) and how traffic is shared.
Not here: reading logs and drawing outcomes from them (worlds), the command (commands.replay).
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from orchestration.delivery import SharedTraffic
from orchestration.generation import Shown, given
from orchestration.guards.fair_log import fair_log
from orchestration.loops.declaration import ByRisk, Loop, Outcome, Reward, Subjects, days
from orchestration.loops.lives import between

NAME = "replay"
MOST_VARIANTS = 20
LONGEST = 26  # turns ahead that sharing reckons with; each test says how many it has left


class LoggedText(BaseModel):
    """A text that was tested once."""

    text: Annotated[str, Shown()] = Field(min_length=1)


def declare(brand: Path | None = None) -> Loop:  # noqa: ARG001
    """The loop of logged tests."""
    return Loop(
        name=NAME,
        subjects=Subjects(
            key="subject_id",
            facts=("test", "variants", "first_day", "end_day", "sample_ratio_p"),
            original="original",
            pool="category",
            lives=between("first_day", "end_day"),
        ),
        generation=given("variants"),
        answer=LoggedText,
        guards=(fair_log(),),
        review=ByRisk(flagged="publish", passed="publish"),
        delivery=SharedTraffic(
            unit="visitor", floor=0.02, control=0.02, holdout=0.05, variants=MOST_VARIANTS, horizon=LONGEST
        ),
        outcomes=(Outcome("click", within=days(1)),),
        reward=Reward("click"),
        on_command=True,
    )
