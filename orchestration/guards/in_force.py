"""The text in force as a fact: the copy that a subject has now says things of it that no other column says.

Here: whether there is such a text at all, or only what stands in for one, and whether it says more than the facts.
Not here: whether an answer is too close to it (similarity).
"""

import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]{2,}")
_UNFILLED = re.compile(
    r"\{\{.*?\}\}|\$\{.*?\}|\[\[.*?\]\]|<%.*?%>|%\(?[a-z_]+\)?[s%]|^\s*[\[<{(][^\])}>]*[\])}>]\s*$", re.DOTALL
)
_COPY = r"(?:description|text|copy|title|headline)"
_STANDS_IN = re.compile(
    rf"""(?:
        n a | na | none | null | nan | nil | undefined | unknown | empty | blank | dummy\b.* | test(?:ing)?(?:\ text)? |
        tb[acd] | to\ (?:be|do)\b.* | todo\b.* | fixme\b.* | x{{2,}} | asdf\w* | foo(?:\ ?bar)? | coming\ soon |
        lorem\ ipsum\b.* | .*\bplace\ ?holder\b.* | platzhalter\b.* | sample\ {_COPY} |
        (?:(?:product|item|short|long)\ )?{_COPY}(?:\ here)? | (?:product\ )?name |
        (?:no|missing|add|insert|enter|your)\ (?:\w+\ ){{0,2}}{_COPY}(?:\ (?:yet|here|available|given|set))* |
        (?:description|text|copy)\ (?:to\ |is\ )?(?:follows?|missing|pending|coming\ soon|not\ available) |
        (?:produkt)?(?:beschreibung|text|titel)(?:\ (?:folgt|fehlt|hier))?(?:\ (?:noch|in\ kürze|bald))? |
        (?:noch\ )?(?:kein|keine|ohne)\ (?:\w+\ )?(?:produkt)?(?:beschreibung|text|titel)(?:\ vorhanden|\ hinterlegt)? |
        folgt(?:\ (?:noch|bald|in\ kürze))? | kommt\ bald | unbekannt | leer |
        (?:description|texte|titre)\ (?:à\ venir|manquante?|du\ produit) | à\ venir |
        (?:pas\ de|sans|aucune)\ (?:description|texte) |
        (?:descripci[oó]n|texto|t[ií]tulo)(?:\ (?:pendiente|del\ producto|aqu[ií]))? |
        sin\ (?:descripci[oó]n|texto) | pr[oó]ximamente
    )""",
    re.VERBOSE,
)


def is_text(original: str) -> bool:
    """Whether there is a text: words that somebody wrote, and nothing that a template or program left in its place."""
    plain = " ".join(_WORD.findall(original.casefold()))
    if not _LETTERS.search(plain) or _UNFILLED.search(original):
        return False
    return _STANDS_IN.fullmatch(plain) is None


def says_more(original: str, facts: Iterable[str]) -> bool:
    """Whether the text has a word or number that no fact has; a title put together of the facts has none."""
    stated = {word for value in facts for word in _WORD.findall(value.casefold())}
    return not set(_WORD.findall(original.casefold())) <= stated


def is_shown(original: str, facts: Iterable[str]) -> bool:
    """Whether a fact shows the same text already, but for case, punctuation and spacing."""
    words = _WORD.findall(original.casefold())
    return any(_WORD.findall(value.casefold()) == words for value in facts)
