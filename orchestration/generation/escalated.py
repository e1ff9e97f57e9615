"""Escalated: some subjects go to a person, and no model is asked about them.

Here: the rule that says which, and why.
Not here: what the person gets (delivery).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestration.generation.pipeline import Subject

Rule = Callable[[Subject], str | None]
"""Why a subject goes to a person, in a sentence; None when it does not."""
_NO = {"", "0", "false", "no", "none"}


@dataclass(frozen=True, kw_only=True)
class Escalation:
    """`when` names facts, any of which that is set sends a subject to a person; `rules` say it themselves."""

    when: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        if not self.when and not self.rules:
            raise ValueError("An escalation needs a fact or a rule that says when.")

    @property
    def columns(self) -> tuple[str, ...]:
        return self.when

    def reason(self, subject: Subject) -> str | None:
        for name in self.when:
            if subject.facts.get(name, "").strip().lower() not in _NO:
                return f"The subject is {name.replace('_', ' ')}."
        return next((said for rule in self.rules if (said := rule(subject))), None)


def escalated(when: Sequence[str | Rule]) -> Escalation:
    """Subjects for which a named fact is set, or for which a rule gives a reason, go to a person."""
    if isinstance(when, str):
        raise ValueError(f"escalated(when={when!r}): give a tuple of facts, not one text.")
    return Escalation(
        when=tuple(each for each in when if isinstance(each, str)),
        rules=tuple(each for each in when if not isinstance(each, str)),
    )
