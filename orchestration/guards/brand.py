"""Does it claim what the brand does not claim?

Here: banned claims, and claims that need a fact behind them, from a brand's TOML file (brand.toml shows the form).
Not here: numbers and names (grounding).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orchestration.guards.readings import readings, visible
from orchestration.guards.verdict import Decision, Draft, Verdict

_DECISIONS: Mapping[object, Decision] = {"flag": "flag", "block": "block"}
SHIPPED = Path(__file__).with_name("brand.toml")


@dataclass(frozen=True)
class Claims:
    """Phrases of one kind. `unless_facts_say` lets through what the subject's own facts hold; with `only_if_facts_say`
    they are judged for those subjects alone whose facts hold one of its words."""

    phrases: tuple[str, ...]
    decision: Decision
    why: str
    unless_facts_say: bool = False
    only_if_facts_say: tuple[str, ...] = ()

    def concern(self, facts: str) -> bool:
        """Whether a subject with these facts is judged."""
        plain = _plain(facts)
        return not self.only_if_facts_say or any(re.search(_as_pattern(word), plain) for word in self.only_if_facts_say)

    @cached_property
    def patterns(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """Per phrase what a text must contain, in the form of `_plain`, and the whole words it must be."""
        return tuple((_plain(phrase).rstrip("*"), re.compile(_as_pattern(phrase))) for phrase in self.phrases)

    def said_in(self, text: str) -> list[str]:
        """The phrases that a text says, as it says them, in lower case; hyphens and spaces count as one, and disguises
        are seen through."""
        forms = dict.fromkeys((_plain(visible(text)), *readings(text, "").plain))
        found = (pattern.search(form) for form in forms for part, pattern in self.patterns if part in form)
        return list(dict.fromkeys(match[0] for match in found if match))


@dataclass(frozen=True)
class OnBrand:
    """Decides as the brand file does; the most severe claim counts, and every one found is named."""

    claims: tuple[Claims, ...]
    name: str = "on_brand"

    def __call__(self, draft: Draft) -> Verdict:
        facts = " ".join(draft.facts.values())
        found = [
            (claims, phrase)
            for claims in self.claims
            if claims.concern(facts)
            for phrase in claims.said_in(draft.text)
            if not (claims.unless_facts_say and re.search(_as_pattern(phrase), _plain(facts)))
        ]
        if not found:
            return Verdict(self.name, "pass", "No banned claim.")
        blocked = [(claims, phrase) for claims, phrase in found if claims.decision == "block"]
        said = "; ".join(f"{phrase!r}: {claims.why}" for claims, phrase in blocked or found)
        return Verdict(self.name, "block" if blocked else "flag", f"{said}.")


def on_brand(brand: Path | Mapping[str, object] | None = None) -> OnBrand:
    """The guard for a brand file, read now and never again; for the shipped one when none is given.

    Raises ValueError naming the entry and the remedy when the file does not have the form of brand.toml.
    """
    parsed = brand if isinstance(brand, Mapping) else read_brand(brand or SHIPPED)
    entries = parsed.get("claims")
    if not isinstance(entries, list) or not entries:
        raise ValueError("The brand file holds no [[claims]]: see orchestration/guards/brand.toml for its form.")
    return OnBrand(tuple(_claims(entry, number) for number, entry in enumerate(entries, start=1)))


def read_brand(path: Path) -> Mapping[str, object]:
    """A brand file, parsed. Raises FileNotFoundError and tomllib.TOMLDecodeError naming the file."""
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as fault:
        raise tomllib.TOMLDecodeError(f"{path}: {fault}") from fault


def _claims(entry: Mapping[str, object], number: int) -> Claims:
    phrases, decision, why = entry.get("phrases"), entry.get("decision"), entry.get("why")
    unknown = set(entry) - {"phrases", "decision", "why", "unless_facts_say", "only_if_facts_say"}
    about = entry.get("only_if_facts_say", [])
    if not isinstance(phrases, list) or not phrases or not all(isinstance(p, str) and p.strip(" *") for p in phrases):
        raise ValueError(f"[[claims]] number {number}: `phrases` must be a list of words or phrases.")
    if decision not in _DECISIONS or not isinstance(why, str) or not isinstance(about, list) or unknown:
        raise ValueError(
            f"[[claims]] number {number}: needs `decision` (flag or block) and `why`, knows "
            "`unless_facts_say` and `only_if_facts_say`"
            f"{f', not {sorted(unknown)}' if unknown else ''}."
        )
    return Claims(
        tuple(phrases), _DECISIONS[decision], why.rstrip("."), bool(entry.get("unless_facts_say", False)), tuple(about)
    )


def _plain(text: str) -> str:
    """Lower case, with one space for any spaces and hyphens."""
    return re.sub(r"[\s-]+", " ", text.replace("’", "'").strip()).lower()


def _as_pattern(phrase: str) -> str:
    body = re.escape(_plain(phrase).rstrip("*"))
    ending = r"\w*" if phrase.endswith("*") else ""
    return rf"(?<!\w){body}{ending}(?!\w)"
