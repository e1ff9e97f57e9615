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
_STANDS_IN = re.compile(
    r"""(?:
        n a | na | none | null | nan | nil | undefined | unknown | empty | blank | test(?:ing)? (?:\ text)? | dummy .* | sample .text |
        tb[acd] | to\ (?:be|do)\b.* | todo\b.* | fixme\b.* | x{2,} | asdf\w* | foo(?:\ ?bar)? | coming\ soon | lorem\ ipsum\b.* |
        .*\bplace\ ?holder\b.* | platzhalter\b.* |
        (?:product\ |item\ |short\ |long\ )?(?:description|title|text|copy|headline|name)(?:\ here)? |
        (?:no|missing|add|insert|enter|your)\ (?:\w+\ ){0,2}(?:description|text|copy|title|headline)(?:\ (?:yet|here|available|given|set))* |
        (?:description|text|copy)\ (?:is\ |to\ )?(?:follows?|missing|pending|coming\ soon|not\ available) |
        (?:produkt)?(?:beschreibung|text|titel)(?:\ (?:folgt|fehlt|hier))?(?:\ (?:noch|in\ kürze|bald))? |
        (?:noch\ )?(?:kein|keine|ohne)\ (?:\w+\ ){0,1}(?:produkt)?(?:beschreibung|text|titel)(?:\ (?:vorhanden|hinterlegt))? |
        folgt(?:\ (?:noch|bald|in\ kürze))? | kommt\ bald | unbekannt | leer |
        (?:description|texte|titre)\ (?:à\ venir|manquante?|du\ produit) | (?:pas\ de|sans|aucune)\ (?:description|texte) | à\ venir |
        (?:descripci[oó]n|texto|t[ií]tulo)(?:\ (?:pendiente|del\ producto|aqu[ií]))? | sin\ (?:descripci[oó]n|texto) | pr[oó]ximamente
    )""",
    re.VERBOSE,
)


def is_text(original: str) -> bool:
    """Whether there is a text: words that somebody wrote, and nothing that a template or a program left in its place."""
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
