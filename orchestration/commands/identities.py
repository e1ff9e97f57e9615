"""Identities as people type them: whole, or any beginning that only one thing has.

Here: what bears which identity, and making a beginning whole.
Not here: what a command does with it (reviewing, withdrawing, lineage).
"""

from collections.abc import Sequence

from orchestration.warehouse.protocol import Warehouse

_TOLD = 4
BEARERS = {
    "exposure": "select distinct exposure_id as known from flywheel.exposures "
    "where left(exposure_id, length($known)) = $known order by known limit 5",
    "decision": "select distinct decision_id as known from flywheel.decisions "
    "where left(decision_id, length($known)) = $known order by known limit 5",
    "variant": "select known from (select variant_id as known from flywheel.releases "
    "union select variant_id from flywheel.decisions union select variant_id from flywheel.deliveries) "
    "where left(known, length($known)) = $known order by known limit 5",
    "release": "select distinct release_id as known from flywheel.releases "
    "where left(release_id, length($known)) = $known order by known limit 5",
    "candidate": "select distinct candidate_id as known from flywheel.candidates "
    "where left(candidate_id, length($known)) = $known order by known limit 5",
    "brief": "select distinct brief_id as known from flywheel.briefs "
    "where left(brief_id, length($known)) = $known order by known limit 5",
    "subject": "select distinct subject_id as known from flywheel.landed_subjects "
    "where left(subject_id, length($known)) = $known order by known limit 5",
    "withdrawal": "select distinct withdrawal_id as known from flywheel.withdrawals "
    "where left(withdrawal_id, length($known)) = $known order by known limit 5",
    "exclusion": "select distinct exclusion_id as known from flywheel.exclusions "
    "where left(exclusion_id, length($known)) = $known order by known limit 5",
}
"""The first identities that begin with `$known`, by what bears them."""
ANY = tuple(BEARERS)


class AmbiguousIdentityError(LookupError):
    """Several identities begin like this."""


def whole(warehouse: Warehouse, given: str, kinds: Sequence[str]) -> str:
    """The identity of one of `kinds` that is `given` or begins with it; `given` itself where there is none.

    Raises AmbiguousIdentityError, naming the first, where several begin so, and ValueError for an empty text.
    """
    if not given.strip():
        raise ValueError("An empty identity names nothing: give one, or the beginning of one.")
    found: dict[str, str] = {}
    for kind in kinds:
        for known in warehouse.read(BEARERS[kind], {"known": given})["known"]:
            found.setdefault(str(known), kind)
    return only_one(given, found) or given


def only_one(given: str, found: dict[str, str]) -> str | None:
    """The key of `found` (identity: what bears it) that is `given`, or the only one there is; None without any."""
    if given in found or not found:
        return given if found else None
    if len(found) > 1:
        named = ", ".join(f"{known} ({kind})" for known, kind in sorted(found.items())[:_TOLD])
        more = ", ..." if len(found) > _TOLD else ""
        raise AmbiguousIdentityError(f"Several identities begin with {given!r}: {named}{more}. Give more of it.")
    return next(iter(found))
