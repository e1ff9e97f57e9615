"""What kind of word is it: an everyday one, or somebody's name?

Here: English words with their parts of speech, from Brill's lexicon (Wall Street Journal and Brown corpus) as the
package textblob carries it. Other languages have no such list here: guards say so where it matters.
Not here: what follows from a kind (names, personal_data).
"""

from functools import cache
from typing import Literal

Kind = Literal["common", "name", "unknown"]


def word_set(text: str) -> frozenset[str]:
    """The words of a text: how guards write their word lists."""
    return frozenset(text.split())


_ENDINGS = ("'s", "ies", "es", "s", "ing", "ed", "er", "est", "ly", "y", "ness", "less", "ful", "able", "ish")
# Words of shops and kitchens that newspapers of 1990 did not print.
_ALSO_COMMON = word_set(
    """applesauce barbecue bbq bundle checkout comfy crave cravings deli detox diy dishwasher fridge gifting granola
    guacamole hashtag hummus latte lunchbox mac meh microwavable microwaveable multipack munch munchies nom online
    pantry pasta pizza playdate quinoa refill refillable reheat resealable salsa smoothie snackable snacktime
    superfood swap toppings tortilla tasty vibe vibes vegan wipes wow yay yogurt yoghurt yum zest zing"""
)
_NAMES_IN_CAPITALS_ONLY = frozenset({"NNP", "NNPS"})


@cache
def _english() -> tuple[frozenset[str], frozenset[str]]:
    """(everyday words in lower case, words that are names when capitalised)."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("textblob")  # located, not imported: importing it loads nltk
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("The lexicon comes with the package 'textblob': install the project's requirements.")
    common, names = set(_ALSO_COMMON), set()
    for line in (Path(spec.origin).parent / "en" / "en-lexicon.txt").read_text(encoding="utf-8").splitlines():
        word, _, tags = line.partition(" ")
        if not word[:1].isalpha() or not tags:
            continue
        if tags.split()[0] in _NAMES_IN_CAPITALS_ONLY:
            if word[0].isupper():
                names.add(word)
        elif word[0].islower():
            common.add(word)
    return frozenset(common), frozenset(names)


def kind(word: str) -> Kind:
    """Kind of an English word as it could stand in the middle of a sentence; `unknown` when the lexicon lacks it."""
    common, names = _english()
    lower = word.casefold()
    if lower in common or any(part in common for part in _stems(lower)):
        return "common"
    if word.capitalize() in names or word in names:
        return "name"
    return "unknown"


def is_name(word: str) -> bool:
    """Whether an English word is known as a name, even one that is an everyday word as well ("Rose", "Mark")."""
    return word.capitalize() in _english()[1]


def is_everyday(word: str) -> bool:
    """Whether an English word, just as it stands, is in everyday use (also when it is a name as well)."""
    return word.casefold() in _english()[0]


def _stems(word: str) -> list[str]:
    """Simpler words that a word may be made of: its endings taken off, its parts around a hyphen."""
    stems = []
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stem = word[: -len(ending)]
            stems += [stem, stem + "e", stem + "y"]
            if stem[-1] == stem[-2]:
                stems.append(stem[:-1])
    if "-" in word:
        common = _english()[0]
        if all(part in common for part in word.split("-") if part):
            stems.append(word.split("-")[-1])
    return stems
