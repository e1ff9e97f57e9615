"""What simulated readers think of a text's sense: the chance that a person would call it wrong.

Here: a rule of a few plain counts, fitted on labels that one reader gave (tests/data, the split `held-out` alone).
Not here: the guard `makes_sense`. It is fitted on other products (the split `train`), on other signs, by other code,
and neither imports the other: a text that fools the guard may still displease, and one that it blocks might have
pleased.

The rule is renewed by `python -m benchmarks.makes_sense --write`.
"""

import json
import re
from functools import cache, lru_cache
from math import exp
from pathlib import Path

WEIGHTS = Path(__file__).with_name("readers.json")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_END = re.compile(r"[.!?]+(?:\s|$)")


def signs(text: str, listing: str) -> dict[str, float]:
    """Counts that the readers' judgement goes with; `listing` is the original, which names the product and its size."""
    words = [word.casefold() for word in _WORD.findall(text)]
    known = {word.casefold().rstrip("s") for word in _WORD.findall(listing)}
    new = [word for word in words if len(word) > 3 and word.rstrip("s") not in known]
    return {
        "words": min(len(words), 40) / 10,
        "sentences": float(min(len(_END.findall(text)), 4)),
        "new long words": min(len(new), 15) / 5,
        "product words missing": sum(word not in {each.rstrip("s") for each in words} for word in known)
        / max(len(known), 1),
        "words said twice": float(min(len(words) - len(set(words)), 6)) / 2,
        "apostrophes": float(min(text.count("'") + text.count("’"), 3)),
        "the whole, every, any": float(sum(word in ("whole", "anyone", "any", "one") for word in words)),
    }


@lru_cache(maxsize=65536)
def chance_of_wrong(text: str, listing: str) -> float:
    """The probability, in (0, 1), that a reader would call a text wrong; 0 for the listing itself."""
    if text == listing:
        return 0.0
    rule = _rule()
    logit = rule["intercept"] + sum(rule["signs"][name] * value for name, value in signs(text, listing).items())
    return 1 / (1 + exp(-max(min(logit, 30.0), -30.0)))


@cache
def _rule() -> dict:
    return json.loads(WEIGHTS.read_text(encoding="utf-8"))
