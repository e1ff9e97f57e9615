"""Countries and nationalities that a text names, in its language (CLDR, as the package babel carries it).

Here: which they are, by the code of the country, so that a fact in one language knows them in another.
Not here: what follows when no fact names them (claims).
"""

from collections.abc import Collection, Mapping
from functools import cache

from orchestration.guards.readings import readings, stemmed, without_accents

# Languages by whose name things of a country are called: "Italian", "italienisch", "italien".
_NATIONAL = (
    "it", "fr", "de", "es", "pt", "nl", "da", "sv", "nb", "fi", "pl", "cs", "hu", "el", "tr", "ru", "uk", "ja", "zh",
    "ko", "hi", "th", "vi", "ar", "ga", "is", "ro", "bg", "hr", "sk", "sl",
)  # fmt: skip
_SHORTEST = 6  # letters of a country's name from which words that begin so are of that country: "Colombian"
_OTHERS = {
    "CH": "swiss schweizer suisse suizo suiza", "GB": "british english scottish britisch englisch schottisch "
    "britannique anglais ecossais britanico ingles escoces scotland england wales schottland ecosse escocia",
    "US": "american amerikanisch americain americano usa", "CN": "chinese chinesisch chinois chino",
    "IN": "indian indisch indien indio", "MX": "mexican mexikanisch mexicain mexicano",
    "PE": "peruvian peruanisch peruvien peruano", "KE": "kenyan kenianisch kenyan keniano",
    "BR": "brazilian brasilianisch bresilien brasileno", "BE": "belgian belgisch belge belga",
    "AT": "austrian osterreichisch autrichien austriaco", "NO": "norwegian norwegisch norvegien noruego",
    # Parts of countries whose name sells: a fact that names the country does not name them.
    "Bavaria": "bavaria bavarian bayern bayerisch baviere bavarois bavaro",
    "Tuscany": "tuscany tuscan toskana toskanisch toscane toscan toscana toscano",
    "Provence": "provence provencal provenzalisch provenza provenzal",
    "Sicily": "sicily sicilian sizilien sizilianisch sicile sicilien sicilia siciliano",
    "Normandy": "normandy normandie normand normandia normando",
    "Brittany": "brittany breton bretagne bretonisch bretana",
    "Andalusia": "andalusia andalusian andalusien andalusisch andalousie andalou andalucia andaluz",
    "Tyrol": "tyrol tyrolean tirol tirolerisch tyrolien tiroles", "Alps": "alps alpine alpen alpes alpin alpino",
    "Burgundy": "burgundy burgund bourgogne borgona",
    "California": "californian kalifornien kalifornisch californie californien",
    "Alsace": "alsace alsatian elsass elsassisch alsacien alsacia", "Black Forest": "schwarzwald",
}  # fmt: skip


def places(text: str, language: str, ordinary: Collection[str] = ()) -> dict[str, str]:
    """Countries that a text names, or whose people it does: the country's code with the word that names it; some parts
    of countries stand under their own names.

    `ordinary` are words and phrases, in lower case, that name none here, such as "French fries".
    """
    (form, *_) = readings(text, language).plain
    for phrase in sorted((without_accents(each) for each in ordinary), key=len, reverse=True):
        form = f" {form} ".replace(f" {phrase} ", " | ").strip()
    names, beginnings = _names(language)
    words = form.split()
    found: dict[str, str] = {}
    for size in (1, 2, 3):
        for start in range(len(words) - size + 1):
            said = " ".join(words[start : start + size])
            code = names.get(said) or names.get(stemmed(said, language))
            if code is None and size == 1:
                code = next((of for begin, of in beginnings.items() if said.startswith(begin)), None)
            if code is not None:
                found.setdefault(code, said)
    return found


@cache
def _names(language: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """(names and their stems with the country's code, beginnings of long names with it)."""
    from babel import Locale
    from babel.core import get_global

    locale = Locale(language)
    likely = get_global("likely_subtags")
    countries = {code: name for code, name in locale.territories.items() if code.isalpha() and len(code) == 2}
    listed = list(countries.items())
    listed += [(likely[of].split("_")[-1], locale.languages[of]) for of in _NATIONAL if of in locale.languages]
    listed += [(code, name) for code, names in _OTHERS.items() for name in names.split()]
    names: dict[str, str] = {}
    beginnings: dict[str, str] = {}
    for code, name in listed:
        said = readings(name, language).plain[0]
        for form in (said, stemmed(said, language)):
            if len(form) > 2:
                names.setdefault(form, code)
        if code in countries and " " not in said and len(said) >= _SHORTEST:
            beginnings.setdefault(said[:-1] if len(said) > _SHORTEST else said, code)
    return names, beginnings
