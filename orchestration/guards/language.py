"""Is it written in the language that was asked for?

Here: telling languages apart. Not here: quality of the language.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from orchestration.guards.verdict import Decision, Draft, Verdict

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# Telling few languages apart is far surer than telling all 97: the ones that a catalogue of the West meets.
PLAUSIBLE = ("da", "de", "en", "es", "fi", "fr", "it", "nl", "no", "pl", "pt", "sv", "tr", "ru", "zh", "ja", "ar")
_NOT_PROSE = re.compile(r"https?://\S+|[@#]\w+|[\W\d_]+")


@cache
def _identifier(languages: tuple[str, ...]) -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(languages)
    return identifier


@dataclass(frozen=True)
class InLanguage:
    """Blocks a text that is surely in another language, and flags one that probably is.

    A short text is little evidence: below `letters` letters it passes, and the asked-for language keeps the benefit of
    the doubt until another is `margin` likelier (difference of the identifier's probabilities).
    """

    letters: int
    margin: float
    name: str = "in_language"

    def __call__(self, draft: Draft) -> Verdict:
        asked = draft.language.split("-")[0]
        prose = _NOT_PROSE.sub(" ", draft.text).strip()
        size = len(prose.replace(" ", ""))
        if size < self.letters and prose.isascii():
            return Verdict(self.name, "pass", f"Too short to tell: {size} letters.")
        ranked = dict(_identifier(tuple(sorted({*PLAUSIBLE, asked}))).rank(prose.lower()))
        likeliest, most = next(iter(ranked.items()))
        lead = most - ranked[asked]
        if lead <= self.margin:
            return Verdict(self.name, "pass", f"Reads as {asked} ({ranked[asked]:.2f}).")
        decision: Decision = "block" if lead > 2 * self.margin else "flag"
        return Verdict(self.name, decision, f"Reads as {likeliest} ({most:.2f}), not {asked} ({ranked[asked]:.2f}).")


def in_language(letters: int = 24, margin: float = 0.25) -> InLanguage:
    return InLanguage(letters, margin)
