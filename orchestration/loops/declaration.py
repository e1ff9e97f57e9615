"""The words that a loop is declared with.

Here: the vocabulary of a declaration, valid by construction, wide enough for all six loops.
Not here: any one loop (its own module) and how a turn runs (assets).
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel

from orchestration.guards.verdict import Guard
from orchestration.loops.lives import Life, stays
from orchestration.loops.recipes import Recipes


def days(number: float) -> timedelta:
    return timedelta(days=number)


@dataclass(frozen=True)
class Subjects:
    """What the loop generates for, as it lands.

    `key` is the column that identifies a subject. `facts` are the columns that an answer may use, `original` the
    column that holds the text in force without the flywheel. `category` is what subjects are pooled by. `personal`
    columns are pseudonymised before they are stored, and a personal key too.

    `variants` is a column with a JSON list of texts, where a subject brings what competes with its original and no
    model is asked. `lives` says in which turns a subject is in force.
    """

    key: str
    facts: tuple[str, ...]
    original: str
    category: str
    format: str | None = None
    personal: tuple[str, ...] = ()
    variants: str | None = None
    lives: Life = stays()

    def __post_init__(self) -> None:
        unknown = {self.variants, *self.lives.columns} - {None, *self.facts}
        if unknown:
            raise ValueError(
                f"Name {sorted(str(name) for name in unknown)} among the facts: that is where they are kept."
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a landed file must have."""
        named = (self.key, self.original, self.category, *((self.format,) if self.format else ()), *self.facts)
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True)
class Outcome:
    """A signal about an exposure, counted when it comes `within` that time after the unit's first exposure."""

    name: str
    within: timedelta
    has_value: bool = False

    def __post_init__(self) -> None:
        if self.within <= timedelta():
            raise ValueError(f"Outcome {self.name!r} must have time to happen: within={self.within}.")


@dataclass(frozen=True)
class Guardrail:
    """An outcome whose rate a promotion must not raise by more than `no_worse_than` (as a relative change)."""

    outcome: str
    no_worse_than: float = 0.0


@dataclass(frozen=True)
class CostLimit:
    """What one brief may cost on average: a promotion must not raise it by more than `no_worse_than`, relatively.

    `tokens` and `usd` are those of its calls; `tone` is the share of drafts that the guard of that name objects to.
    """

    name: Literal["tokens", "usd", "tone"]
    no_worse_than: float


@dataclass(frozen=True)
class ByRisk:
    """Who decides on a candidate: by its worst verdict, a person or the gate. What is blocked never leaves."""

    flagged: Literal["person", "publish"] = "person"
    passed: Literal["person", "publish"] = "publish"


@dataclass(frozen=True)
class Allocation:
    """How traffic is shared. `floor` is the least share of any variant, `control` that of the original,
    `holdout` the share of units that always get the original, `variants` the most competing with it. `horizon` is
    the number of turns, this one included, in which what a turn learns should pay: the longer, the more is explored."""

    floor: float = 0.01
    control: float = 0.10
    holdout: float = 0.05
    variants: int = 4
    horizon: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.control < 1 or not 0 < self.holdout < 1:
            raise ValueError("Need 0 < floor <= control < 1 and 0 < holdout < 1.")
        if self.control + self.variants * self.floor > 1:
            raise ValueError(f"{self.variants} variants at {self.floor} and a control at {self.control} exceed 1.")


@dataclass(frozen=True)
class Loop:
    """One flywheel. Same fields for every loop; a declaration is all that a new loop adds.

    `made_by` says what answers a brief: a language model, or the policy itself where the decision is not text
    (which offer, which price). `answer` is what an answer must look like, and `text_field` the field of it that a
    unit meets. `reward` names the outcome that the loop learns from. Subjects that bring their variants need no
    recipes.
    """

    name: str
    subjects: Subjects
    unit: str
    recipes: Recipes
    answer: type[BaseModel]
    text_field: str
    guards: tuple[Guard, ...]
    outcomes: tuple[Outcome, ...]
    reward: str
    guardrails: tuple[Guardrail, ...] = ()
    costs: tuple[CostLimit, ...] = ()
    review: ByRisk = ByRisk()
    allocation: Allocation = Allocation()
    briefs_per_subject: int = 2
    made_by: Literal["model", "policy"] = "model"
    owner: str = "team:growth"

    def __post_init__(self) -> None:
        names = [outcome.name for outcome in self.outcomes]
        for needed in (self.reward, *(guardrail.outcome for guardrail in self.guardrails)):
            if needed not in names:
                raise ValueError(f"Loop {self.name!r} uses outcome {needed!r}, but declares only {names}.")
        if self.subjects.lives.until not in (None, *names):
            raise ValueError(
                f"Subjects of {self.name!r} live until {self.subjects.lives.until!r}, but the loop declares only {names}."
            )
        if self.text_field not in self.answer.model_fields:
            raise ValueError(f"{self.answer.__name__} has no field {self.text_field!r}.")
        if self.recipes.folder is None and self.subjects.variants is None:
            raise ValueError(
                f"Loop {self.name!r} has no recipes, and its subjects bring no variants: nothing would compete."
            )
        if len({guard.name for guard in self.guards}) < len(self.guards):
            raise ValueError(f"Loop {self.name!r} names a guard twice.")
