"""The lists of each language that guards share, read once.

Here: reading by_language/*.toml into phrases, which languages there are, and what a language is called.
Not here: what follows when a text says a phrase (claims, drift, profanity).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from orchestration.guards.phrases import Phrases, phrases
from orchestration.guards.verdict import Decision, Verdict

FOLDER = Path(__file__).with_name("by_language")
_DECISIONS: Mapping[object, Decision] = {"flag": "flag", "block": "block"}


@dataclass(frozen=True)
class Claim:
    """What needs a fact behind it. `means` is the same in every language; en.toml says what the fields are."""

    means: str
    about: str
    decision: Decision
    says: Phrases
    never: bool = False
    names_it: bool = False


@dataclass(frozen=True)
class Trick:
    """A trick of clickbait; one of weight 1 is enough alone."""

    what: str
    weight: float
    says: Phrases


@dataclass(frozen=True)
class WordLists:
    """All lists of one language."""

    language: str
    insults: Phrases
    coarse: Phrases
    fine: frozenset[str]
    dark: Phrases
    ordinary: frozenset[str]
    tricks: tuple[Trick, ...]
    claims: tuple[Claim, ...]

    @cached_property
    def by_meaning(self) -> Mapping[str, Claim]:
        return {claim.means: claim for claim in self.claims}


def primary(language: str) -> str:
    """The language itself of a code that may name a region too: `de` of `de-AT`."""
    return language.replace("_", "-").split("-")[0].lower()


@cache
def languages() -> tuple[str, ...]:
    """Codes of the languages that have lists."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@cache
def word_lists(language: str) -> WordLists | None:
    """The lists of a language; None where there are none.

    Raises ValueError naming the file and the entry that does not have the form of en.toml.
    """
    import tomllib

    path = FOLDER / f"{primary(language)}.toml"
    if path.stem not in languages():
        return None
    try:
        return _read(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError) as fault:
        raise ValueError(f"{path.name} does not have the form of en.toml: {fault}") from fault


def nothing_for(guard: str, what: str, language: str) -> Verdict:
    """The verdict of a guard that has no lists for a language: nothing passes that nobody has looked at."""
    return Verdict(guard, "flag", f"No list of {what} for {language_name(language)}: a person must look.")


def language_name(language: str) -> str:
    """A language's name in English, its code where nobody has named it."""
    from babel import Locale

    return Locale("en").languages.get(primary(language), repr(language))


def _read(language: str, listed: Mapping[str, Sequence]) -> WordLists:
    return WordLists(
        language=language,
        insults=phrases(listed["insults"], language),
        coarse=phrases(listed["coarse"], language),
        fine=frozenset(listed["fine"]),
        dark=phrases(listed.get("dark", ()), language),
        ordinary=frozenset(listed["ordinary"]),
        tricks=tuple(Trick(it["what"], float(it["weight"]), phrases(it["says"], language)) for it in listed["tricks"]),
        claims=tuple(
            Claim(
                means=it["means"],
                about=it["about"],
                decision=_DECISIONS[it["decision"]],
                says=phrases(it["says"], language),
                never=it.get("never", False),
                names_it=it.get("names_it", False),
            )
            for it in listed["claims"]
        ),
    )
