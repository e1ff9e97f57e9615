"""Is it about the subject at all?

Here: whether a text names what it was asked to write about. Small models slip into the product of an example.
Not here: whether what it says is true (grounding).
"""

import re
from dataclasses import dataclass

from orchestration.guards.in_force import is_text
from orchestration.guards.lexicon import word_set
from orchestration.guards.names import Vocabulary
from orchestration.guards.verdict import Draft, Verdict

_WORD = re.compile(r"[^\W\d_]{3,}")
_TITLES = word_set("title name product headline model")
_SAYS_NOTHING = word_set("and are for from the with pack bag box mix all other any our your its has have not")


@dataclass(frozen=True)
class OnTopic:
    """Flags an English text that holds no word of the facts named. Where a subject has none of these, and where none is
    named, its title counts; where it has none either, every fact and the text in force.

    Texts in other languages pass: their words cannot be held against facts that may be in English.
    """

    facts: tuple[str, ...]
    name: str = "on_topic"

    def __call__(self, draft: Draft) -> Verdict:
        values = _about(draft, self.facts)
        if draft.language != "en" or not values:
            return Verdict(self.name, "pass", "Not judged: no fact in the text's language.")
        known = Vocabulary.of(values)
        spoken = dict.fromkeys(word.casefold() for word in _WORD.findall(draft.text))
        named = [word for word in spoken if word not in _SAYS_NOTHING and known.knows(word)]
        if named:
            return Verdict(self.name, "pass", f"Names {', '.join(named[:3])}.")
        return Verdict(self.name, "flag", f"Names nothing of {'; '.join(values)!r}.")


def _about(draft: Draft, named: tuple[str, ...]) -> list[str]:
    """What says what the subject is."""
    said = [value for name in named if (value := draft.facts.get(name, ""))]
    said = said or [value for name, value in draft.facts.items() if value and name.casefold() in _TITLES]
    return said or [
        value for value in (*draft.facts.values(), draft.original if is_text(draft.original) else "") if value
    ]


def on_topic(*facts: str) -> OnTopic:
    return OnTopic(facts)
