"""The words that a loop is declared with, by six questions.

For what? `Subjects`. How is it generated? `generation`. What does it look like? `answer`. Who judges it? `guards` and
`review`. How is it delivered and compared? `delivery`. What does it earn? `outcomes`, `reward`, `guardrails`, `costs`.

Here: the vocabulary of a declaration, valid by construction.
Not here: ways of generation (generation), ways of delivery (delivery), any one loop (its own module), and what a home
adds to a declaration (binding).
"""

import math
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Literal, get_args

from pydantic import BaseModel

from orchestration.delivery.protocol import Delivery
from orchestration.generation.answers import rendered, shown_fields
from orchestration.generation.pipeline import Generation
from orchestration.guards.in_force import is_shown, is_text, says_more
from orchestration.guards.verdict import Guard
from orchestration.learning.policies.price_bounds import IN_FORCE, UNIT_COST
from orchestration.loops.as_landed import AsLanded
from orchestration.loops.feeds import Feed
from orchestration.loops.lives import Life, stays

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = ("documents", "events", "landing")  # folders of landed files, and what the graph calls their assets


def days(number: float) -> timedelta:
    return timedelta(days=number)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """What the loop generates for, as it lands.

    `key` is the column that identifies a subject. `facts` are the columns that an answer may use, `features` those of
    them that a policy may choose by, `original` the column that holds what is in force without the flywheel. `pool` is
    what subjects are pooled by where one alone says too little, `format` says which recipes compete. `lives` says in
    which turns a subject is in force. `personal` columns are pseudonymised before they are stored, a personal key too.

    `language` is a column that says in which language a subject is written for (ISO 639-1, with or without a region); a
    file may lack it. Where it holds something else, such as a segment, `languages` gives the language of each value.

    With `brings_facts` a file may lack any of the facts, and what else it says of a subject is a fact too. `shown` are
    the facts that a model sees, all of them by default; under the name `in_force_as` it sees the original, and guards
    hold answers against it. `landed` says how the file words all this.
    """

    key: str
    facts: tuple[str, ...]
    original: str
    pool: str
    format: str | None = None
    features: tuple[str, ...] = ()
    lives: Life = field(default_factory=stays)
    personal: tuple[str, ...] = ()
    language: str | None = None
    languages: Mapping[str, str] = field(default_factory=dict, hash=False)
    brings_facts: bool = False
    shown: tuple[str, ...] | None = None
    in_force_as: str | None = None
    landed: AsLanded = AsLanded()

    def __post_init__(self) -> None:
        if self.languages and self.language is None:
            raise ValueError("Subjects(languages=...) translates the values of a column: name it in `language`.")
        for value, code in self.languages.items():
            if not re.fullmatch("[a-z]{2,3}", code):
                raise ValueError(f"The language of {value!r} is {code!r}: write an ISO 639-1 code, such as 'de'.")
        object.__setattr__(self, "languages", MappingProxyType(dict(self.languages)))
        for name in ("facts", "features", "personal"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"Subjects({name}={getattr(self, name)!r}): give a tuple of columns, not one text.")
        if taken := set(self.features) & {IN_FORCE, UNIT_COST}:
            raise ValueError(f"Rename the features {sorted(taken)}: the choice of a price uses these names itself.")
        if empty := [name for name in ("key", "original", "pool") if not getattr(self, name).strip()]:
            raise ValueError(f"Subjects need a column for each of {', '.join(empty)}: name it as it lands.")
        if unknown := {*self.features, *self.lives.columns} - set(self.facts):
            raise ValueError(f"Name {sorted(unknown)} among the facts: that is where they are kept.")
        if unknown := set(self.personal) - set(self.columns):
            raise ValueError(f"Personal columns {sorted(unknown)} are none of the subject's: {list(self.columns)}.")
        if self.shown is not None and not self.brings_facts and (unknown := set(self.shown) - set(self.facts)):
            raise ValueError(f"{sorted(unknown)} cannot be shown: the facts are {list(self.facts)}.")

    @property
    def key_is_personal(self) -> bool:
        """Whether a subject is known by a pseudonym wherever something is kept."""
        return self.key in self.personal

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is declared, by its own name; that of the language is none of them."""
        named = (self.key, self.original, self.pool, *((self.format,) if self.format else ()), *self.facts)
        return tuple(dict.fromkeys(named))

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that a landed file must have, by its own name."""
        spared = set(self.facts) - {*self.features, *self.lives.columns} if self.brings_facts else set()
        if self.landed.format and self.format:
            spared.add(self.format)
        return tuple(name for name in self.columns if name not in spared - {self.key, self.original, self.pool})

    @property
    def needed_as_landed(self) -> tuple[str, ...]:
        """Every column that a landed file must have, as the file calls it."""
        return tuple(dict.fromkeys(self.landed.of(name) for name in self.needed))

    def told(self, facts: Mapping[str, str], original: str, *, tersely: bool = False) -> dict[str, str]:
        """What a model is told of a subject: the facts that are shown, then the text in force where there is one.

        `tersely` leaves that out where it is put together of the facts.
        """
        shown = dict(facts) if self.shown is None else {name: facts[name] for name in self.shown if name in facts}
        values = shown.values()
        is_news = is_text(original) and not is_shown(original, values)
        if self.in_force_as and is_news and (not tersely or says_more(original, values)):
            shown[self.in_force_as] = original
        return shown

    def known(self, facts: Mapping[str, str], original: str) -> dict[str, str]:
        """What an answer may say of a subject: every fact, shown or not, and what the text in force says beyond."""
        if self.in_force_as and is_text(original) and says_more(original, facts.values()):
            return {**facts, self.in_force_as: original}
        return dict(facts)


@dataclass(frozen=True)
class Outcome:
    """A signal about an exposure or a decision, counted when it comes `within` that time after the first exposure.

    A unit's amounts of an outcome that `has_value` are cut at the percentile `cut_at` of the turn's units before they
    count as a reward, so that no single one decides; 1 counts them as they are.
    """

    name: str
    _: KW_ONLY
    within: timedelta
    has_value: bool = False
    cut_at: float = 0.99

    def __post_init__(self) -> None:
        if not self.name.strip() or self.name == "exposure":
            raise ValueError(f"Outcome({self.name!r}): name what a unit does after it was exposed, such as 'click'.")
        if not isinstance(self.within, timedelta) or self.within <= timedelta():
            raise ValueError(f"Outcome {self.name!r} must have time to happen: within={self.within}.")
        if not 0.5 <= self.cut_at <= 1:
            raise ValueError(f"Outcome {self.name!r}: cut amounts at a percentile from 0.5 to 1, not {self.cut_at}.")


@dataclass(frozen=True)
class Reward:
    """What the loop learns from: an outcome, less others by their weight, plus others by theirs.

    An outcome that has a value counts by it, times its weight; any other counts once.
    """

    outcome: str
    _: KW_ONLY
    less: Mapping[str, float] = field(default_factory=dict, hash=False)
    plus: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        named = [self.outcome, *self.less, *self.plus]
        if len(set(named)) < len(named):
            raise ValueError(f"The reward {self.outcome!r} counts an outcome twice: {named}.")
        if not all(0 < weight < math.inf for weight in (*self.less.values(), *self.plus.values())):
            raise ValueError("Weights of a reward are positive numbers; what is taken off stands under `less`.")
        object.__setattr__(self, "less", MappingProxyType(dict(self.less)))
        object.__setattr__(self, "plus", MappingProxyType(dict(self.plus)))

    @property
    def weights(self) -> dict[str, float]:
        """What one of each outcome adds."""
        taken = {name: -weight for name, weight in self.less.items()}
        return {self.outcome: 1.0, **self.plus, **taken}


Cost = Literal["tokens", "usd", "tone"]


@dataclass(frozen=True)
class Guardrail:
    """An outcome whose rate a promotion must not raise by more than `margin` (as a relative change)."""

    outcome: str
    _: KW_ONLY
    margin: float = 0.0

    def __post_init__(self) -> None:
        _check_margin(self, self.margin)


@dataclass(frozen=True)
class CostLimit:
    """What one brief may cost on average: a promotion must not raise it by more than `margin`, relatively.

    `tokens` and `usd` are those of its calls; `tone` is the share of drafts that the guard of that name objects to.
    """

    name: Cost
    _: KW_ONLY
    margin: float

    def __post_init__(self) -> None:
        if self.name not in get_args(Cost):
            raise ValueError(f"CostLimit({self.name!r}): a limit is on one of {', '.join(get_args(Cost))}.")
        _check_margin(self, self.margin)


@dataclass(frozen=True, kw_only=True)
class ByRisk:
    """Who decides on a candidate: by its worst verdict, a person or the gate. What is blocked never leaves."""

    flagged: Literal["person", "publish"] = "person"
    passed: Literal["person", "publish"] = "publish"


@dataclass(frozen=True, kw_only=True)
class Loop:
    """One flywheel. Same fields for every loop; a declaration is all that a new loop adds.

    A loop `on_command` turns only in homes that a command makes for it, never because nothing else was asked for. It
    writes in `language` for subjects that have none; in the first of FLYWHEEL_LANGUAGES where it names none either.
    """

    name: str
    subjects: Subjects
    generation: Generation
    answer: type[BaseModel]
    delivery: Delivery
    outcomes: tuple[Outcome, ...]
    reward: Reward
    guards: tuple[Guard, ...]
    review: ByRisk = ByRisk()
    guardrails: tuple[Guardrail, ...] = ()
    costs: tuple[CostLimit, ...] = ()
    feeds: tuple[Feed, ...] = ()
    owner: str = "team:growth"
    on_command: bool = False
    language: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in _TAKEN:
            raise ValueError(
                f"A loop cannot be called {self.name!r}: a name is that of its module and folders, in small letters, "
                f"digits and underscores, and none of {', '.join(_TAKEN)}."
            )
        if not (isinstance(self.answer, type) and issubclass(self.answer, BaseModel)):
            raise ValueError(f"Loop {self.name!r}: the answer is a pydantic model, not {self.answer!r}.")
        names = [outcome.name for outcome in self.outcomes]
        if len(set(names)) < len(names):
            raise ValueError(f"Loop {self.name!r} declares an outcome twice: {names}.")
        for needed in (*self.reward.weights, *(guardrail.outcome for guardrail in self.guardrails)):
            if needed not in names:
                raise ValueError(f"Loop {self.name!r} uses outcome {needed!r}, but declares only {names}.")
        if self.subjects.lives.until is not None and self.subjects.lives.until not in names:
            raise ValueError(
                f"Loop {self.name!r} lives until {self.subjects.lives.until!r}, but declares only {names}."
            )
        if missing := set(self.generation.columns) - set(self.subjects.facts):
            raise ValueError(f"Loop {self.name!r} generates from {sorted(missing)}: name them among the facts.")
        if unknown := set(self.generation.fields) - set(self.answer.model_fields):
            raise ValueError(f"{self.answer.__name__} has no field {sorted(unknown)}, which the generation fills.")
        if not self.generation.asks(self.answer) and not self.generation.fields:
            raise ValueError(
                f"Loop {self.name!r} generates nothing: no step fills a field, and none is left to a model."
            )
        shown_fields(self.answer)
        if not self.guards:
            raise ValueError(
                f"Loop {self.name!r} names no guard: nothing goes out that nothing has judged. `rule` makes one."
            )
        if len({guard.name for guard in self.guards}) < len(self.guards):
            raise ValueError(f"Loop {self.name!r} names a guard twice.")
        if len({feed.fact for feed in self.feeds}) < len(self.feeds):
            raise ValueError(f"Loop {self.name!r} is handed a fact twice: {[feed.fact for feed in self.feeds]}.")
        if any(feed.source == self.name for feed in self.feeds):
            raise ValueError(f"Loop {self.name!r} feeds itself: its own turns reach it through its policy.")
        self.delivery.fits(self)

    @property
    def runs_programs(self) -> bool:
        """Whether a test of it runs what an answer says, so that a machine must be able to contain that."""
        rounds = self.generation.rounds
        tests = (rounds.test if rounds else None, getattr(self.delivery, "test", None))
        return any(test.is_contained for test in tests if test is not None)

    @property
    def reward_is_rate(self) -> bool:
        """Whether a unit earns 0 or 1, and neither an amount nor a weighted sum."""
        (first, *others) = (outcome for outcome in self.outcomes if outcome.name in self.reward.weights)
        return not others and not first.has_value

    def text_of(self, answer: Mapping[str, object]) -> str:
        """The rendering of an answer: the fields that people meet."""
        return rendered(self.answer, answer)


def _check_margin(of: object, margin: float) -> None:
    if not 0 <= margin < math.inf:
        raise ValueError(f"{of}: a margin is the share by which it may rise, 0 or more: 0.1 is ten per cent.")
