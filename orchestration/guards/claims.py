"""Does it claim what only a fact can back: about health, safety, environment, animals, origin, price, scarcity?

Here: the claims of each language's lists, held against the subject's facts in whatever listed language these are.
Not here: the lists (by_language), a brand's own bans (brand), numbers and names (grounding).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestration.guards.fact_values import trusted
from orchestration.guards.lexicon import word_set
from orchestration.guards.places import places
from orchestration.guards.readings import Readings, readings
from orchestration.guards.verdict import Draft, Verdict
from orchestration.guards.word_lists import Claim, WordLists, languages, nothing_for, primary, word_lists

_YES = word_set("yes y true ja wahr oui vrai si sí x 1 ✓ ✔")
_NOT = word_set("no not non never without nicht kein keine keinen nie ohne pas sans jamais aucun aucune sin nunca")
_MAKING = "made in"


@dataclass(frozen=True)
class Backed:
    """Stops a claim that no fact says, as its list decides; the most severe counts, and every one found is named."""

    name: str = "claims"

    def __call__(self, draft: Draft) -> Verdict:
        listed = word_lists(draft.language)
        if listed is None:
            return nothing_for(self.name, "claims", draft.language)
        found = list(_unbacked(draft.text, listed, list(_stated(draft.facts))))
        if not found:
            return Verdict(self.name, "pass", "No claim that needs a fact, or the facts say it.")
        blocked = [each for each in found if each[0] == "block"]
        reasons = dict.fromkeys(f"{phrase!r}: {about}" for _, about, phrase in blocked or found)
        return Verdict(self.name, "block" if blocked else "flag", f"No fact says so: {'; '.join(reasons)}.")


def claims() -> Backed:
    return Backed()


def _stated(facts: Mapping[str, str]) -> Iterator[str]:
    """What facts say: their values, and the name of one whose value is no more than yes."""
    for name, value in trusted(facts).items():
        yield name.replace("_", " ") if value.strip().casefold() in _YES else value


def _unbacked(text: str, listed: WordLists, stated: list[str]) -> Iterator[tuple[str, str, str]]:
    """(decision, what it is about, the words) of each claim that the facts do not say."""
    read = readings(text, listed.language)
    for claim in listed.claims:
        if claim.names_it:
            for phrase in _unnamed(claim, read, listed, stated):
                yield claim.decision, claim.about, phrase
        elif said := claim.says.said_in(read):
            if not _is_stated(claim.means, stated):
                yield claim.decision, claim.about, said[0]
            elif claim.never:
                yield "flag", claim.about, said[0]
    if named := places(text, listed.language, listed.ordinary):
        known = {code for value in stated for of in languages() for code in places(value, of)}
        origin = listed.by_meaning[_MAKING]
        for code, word in named.items():
            if code not in known:
                yield origin.decision, origin.about, word


def _unnamed(claim: Claim, read: Readings, listed: WordLists, stated: list[str]) -> Iterator[str]:
    """Claims whose word for `_` is in no fact. Countries are looked for by themselves, whatever stands before them."""
    known = {word for value in stated for form in _forms(readings(value, listed.language)) for word in form.split()}
    countries = {word for form in read.plain for word in places(form, listed.language).values()}
    for match in claim.says.matches(read, inflected=False):
        word = next((group for group in match.groups() if group), "")
        if not (word in known or word in countries or word in listed.ordinary or word.isdigit()):
            yield match[0]


def _forms(read: Readings) -> tuple[str, ...]:
    return (*read.plain, *read.stemmed)


def _is_stated(means: str, stated: list[str]) -> bool:
    """Whether a fact says the claim in a listed language, and does not deny it."""
    for value in stated:
        for of in languages():
            lists = word_lists(of)
            claim = lists.by_meaning.get(means) if lists else None
            if claim and any(not _is_denied(match) for match in claim.says.matches(readings(value, primary(of)))):
                return True
    return False


def _is_denied(match: re.Match[str]) -> bool:
    before = match.string[: match.start()].split()
    return bool(before) and before[-1] in _NOT
