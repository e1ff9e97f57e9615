"""Is it fit to print?

Here: swear words, slurs and insults in the languages that have a list, disguised ones included.
Not here: harm without such words, and the lists of insults themselves (by_language).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from orchestration.guards.lexicon import word_set
from orchestration.guards.phrases import Phrases, phrases
from orchestration.guards.readings import readings, visible, without_accents
from orchestration.guards.verdict import Draft, Verdict
from orchestration.guards.word_lists import nothing_for, primary, word_lists

# In better_profanity's list, and yet on a shop's shelves or in a clean sentence.
INNOCENT = word_set(
    """breasts booty dong dummy enlargement facial flange god hemp hookah homey hump knob knobs lube maxi menses
    menstruate menstruation muff nude nudes omg oral orally organ ovary ovum ovums paddy panties panty pantie
    pastie pasty pawn pollock pot queer quicky racy revue rum rump sandbar screw seaman seamen steamy strip stroke
    tampon thrust toots tush undies urine uterus vixen vodka wad weiner whiz womb woody gay gays lesbians cowgirl
    cowgirls condom unwed dink jerk hymen kraut naked massa gai guido len voyeur virgin nimrod opium urinal slope
    pms lusty souse flogthelog"""
)
# Offensive only in some company: a person decides.
DOUBTFUL = word_set(
    """bimbo bimbos crap damn doofus dopey drunk erect erection erotic fart fat fubar hell heroin herpes hiv hooch
    hooter hooters hussy jerked junkie junky kill kinky lech leper lust lusting meth molest moron murder napalm
    nazi nazism ninny nipple nipples ovary pee penetrate porn potty prude rectal rectum retard scantily
    screwed scum seduce semen sex sexual sexy slave sleazy smut sniper sperm stoned stupid suck sucked sucking
    tawdry teat teats teets toke tramp trashy transsexual ugly uzi vagina valium viagra vomit vulgar wedgie weed
    weenie weirdo wench wtf hitler reefer cocaine bondage playboy god-damned"""
)
_PLAIN = str.maketrans("@41!l0v3$57+", "aaiiiouesstt")
_TOKEN = re.compile(r"[\w@$*!+'-]+")
_SPELLED_OUT = re.compile(r"\b(?:[a-z][.\-_ ]){2,}[a-z]\b", re.IGNORECASE)


EVERYWHERE = phrases(
    ("*fuck*", "shit", "bullshit", "bitch", "bitches", "asshole*", "cunt*", "nigger*", "nigga*", "faggot*", "whore*",
     "slut", "sluts", "cock sucker*", "wtf", "retard", "heil hitler", "pussy"), "en"
)  # fmt: skip
"""English swear words that are no words of the other languages, and understood in all of them."""


@dataclass(frozen=True)
class _Words:
    plain: frozenset[str]
    disguised: dict[str, str]
    longest: int


@cache
def _swear_words(language: str) -> Phrases | None:
    """The list of badwords-py for a language, less what is fine; None where it has none."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("badwords")  # located, not imported: importing it loads its native matcher
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("The lists come with 'badwords-py': install the project's requirements.")
    path = Path(spec.origin).parent / "resource" / "words" / f"{language}.txt"
    if not language.isalpha() or not path.exists():
        return None
    listed = word_lists(language)
    fine = {without_accents(word) for word in (listed.fine if listed else ())}
    every = [word.strip().casefold() for word in path.read_text(encoding="utf-8").splitlines()]
    return phrases([word for word in every if word.isprintable() and _is_word(word, fine)], language)


def _is_word(word: str, fine: set[str]) -> bool:
    return len(word) > 2 and all(each.isalnum() or each == " " for each in word) and without_accents(word) not in fine


@cache
def _listed() -> _Words:
    """The package's list, and the same with its letters folded as disguises fold them (l, 1 and i are one)."""
    from better_profanity.utils import get_complete_path_of_file, read_wordlist

    every = {word.lower() for word in read_wordlist(get_complete_path_of_file("profanity_wordlist.txt"))}
    words = frozenset(every - INNOCENT | DOUBTFUL)
    folded = {word.translate(_PLAIN): word for word in sorted(words) if len(word) > 2}
    return _Words(words, folded, max(len(word.split()) for word in words))


@dataclass(frozen=True)
class NoProfanity:
    """Blocks swear words, slurs and insults, flags words that are only sometimes offensive.

    Source of the English list and of the disguises: better_profanity. Its own matcher takes 17 ms a text, which this
    replaces by set look-ups; INNOCENT takes out what sells as groceries, DOUBTFUL is left to a person. Other languages
    have the lists of badwords-py, of which a person decides, and four of them insults of their own (by_language).
    """

    name: str = "no_profanity"

    def __call__(self, draft: Draft) -> Verdict:
        language, listed = primary(draft.language), word_lists(draft.language)
        swear_words = None if language == "en" else _swear_words(language)
        if listed is None and swear_words is None:
            return nothing_for(self.name, "offensive words", language)
        read = readings(draft.text, language)
        found, blocked = set[str](), list[str]()
        if language == "en":
            found = {word for form in (visible(draft.text), *read.plain) for word in _offensive(form)}
            blocked = sorted(found - DOUBTFUL)
        else:
            blocked = EVERYWHERE.said_in(read)
            found.update(swear_words.said_in(read, inflected=False) if swear_words else ())
        if listed is not None:
            blocked += listed.insults.said_in(read)
            found.update(listed.coarse.said_in(read))
        if blocked:
            return Verdict(self.name, "block", f"Offensive: {', '.join(map(_masked, blocked))}.")
        if found:
            return Verdict(self.name, "flag", f"May offend: {', '.join(sorted(found))}.")
        return Verdict(self.name, "pass", "No listed word.")


def no_profanity() -> NoProfanity:
    return NoProfanity()


def _masked(word: str) -> str:
    """A word as a report may show it."""
    return word[0] + "*" * (len(word) - 2) + word[-1]


def _offensive(text: str) -> Iterator[str]:
    listed = _listed()
    tokens = [token.strip("'-!*+_") or token for token in _TOKEN.findall(text.lower())]
    for size in range(1, listed.longest + 1):
        for start in range(len(tokens) - size + 1):
            phrase = " ".join(tokens[start : start + size])
            if phrase in listed.plain:
                yield phrase
    for token in _TOKEN.findall(text.lower()):
        yield from _behind(token, listed)
    for spelled in _SPELLED_OUT.findall(text.lower()):
        word = re.sub(r"[^a-z]", "", spelled)
        if word in listed.plain and len(word) > 3:
            yield word


def _behind(token: str, listed: _Words) -> Iterator[str]:
    """The word that a token with digits or signs in place of letters disguises."""
    letters = sum(character.isalpha() for character in token)
    if letters < 2 or token.isalpha():
        return
    inner = token.strip("'-!_+")
    if not inner.isalpha() and (word := listed.disguised.get(inner.translate(_PLAIN))):
        yield word
    if "*" in inner[1:]:
        pattern = re.compile(re.escape(inner).replace(r"\*", "[a-z]"))
        yield from [word for word in sorted(listed.plain) if pattern.fullmatch(word)][:1]
