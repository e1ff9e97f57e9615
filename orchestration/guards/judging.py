"""All guards over one draft.

Here: asking every guard, and which of several decisions counts.
Not here: any one guard, and what is done with a decision (graph.assets.reviews).
"""

from collections.abc import Iterable, Sequence

from orchestration.guards.characters import unpublishable
from orchestration.guards.verdict import Decision, Draft, Guard, Verdict

_SEVERITY: dict[Decision, int] = {"pass": 0, "flag": 1, "block": 2}


def judge(draft: Draft, guards: Sequence[Guard]) -> list[Verdict]:
    """One verdict a guard, in their order; before them a block where the draft holds characters that nobody sees, which
    no loop may publish whatever guards it declares.

    A guard that raises loses no candidate: its verdict is a `flag` that starts with "could not judge", so that a
    person decides and the fault is seen.
    """
    unseen = unpublishable(draft)
    return [*([unseen] if unseen else []), *(_verdict(guard, draft) for guard in guards)]


def _verdict(guard: Guard, draft: Draft) -> Verdict:
    try:
        return guard(draft)
    except Exception as fault:  # whatever a guard trips over, the candidate stays and a person looks at it
        return Verdict(guard.name, "flag", f"could not judge: {type(fault).__name__}: {fault}")


def worst(verdicts: Iterable[Verdict]) -> Decision:
    """The most severe decision. Without any verdict nobody has looked at the text, so a person must: `flag`."""
    return max((verdict.decision for verdict in verdicts), key=_SEVERITY.__getitem__, default="flag")
