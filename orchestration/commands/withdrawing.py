"""Taking down what was released, and letting it up again.

Here: what an identity names that can come down, what comes down with it, and landing the withdrawal, which is taken in
at once and leaves the outbox of the turn in force without it.
Not here: how a way of delivery obeys (delivery), printing (withdraw), files that others land (graph.assets.landing).
"""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.commands.identities import AmbiguousIdentityError, only_one
from orchestration.delivery.withdrawn import COMES_DOWN, IN_FORCE
from orchestration.graph.assets.outbox import written_anew
from orchestration.landing.folder import Landing
from orchestration.landing.outbox import Outbox
from orchestration.loops.declaration import Loop
from orchestration.warehouse.protocol import Warehouse

# A decision is withdrawn as a release is. Originals cannot be: they are in force without the flywheel.
TARGETS = {
    "variant": """
        select distinct loop, variant_id as known from (
            select loop, variant_id from flywheel.releases where not is_control
            union select loop, variant_id from flywheel.decisions where delivered
            union select loop, variant_id from flywheel.deliveries where delivered)
        where left(variant_id, length($known)) = $known order by loop, known limit 9
    """,
    "candidate": """
        select distinct loop, candidate_id as known from flywheel.candidates
        where left(candidate_id, length($known)) = $known order by loop, known limit 9
    """,
    "release": """
        select distinct loop, known from (
            select loop, release_id as known from flywheel.releases
            union select loop, decision_id from flywheel.decisions)
        where left(known, length($known)) = $known order by loop, known limit 9
    """,
    "subject": """
        select distinct loop, subject_id as known from flywheel.landed_subjects
        where left(subject_id, length($known)) = $known order by loop, known limit 9
    """,
}
CONTROL = "select loop, subject_id from flywheel.releases where is_control and variant_id = $known limit 1"
VARIANTS = """
    select distinct loop, subject_id, variant_id, text from (
        select loop, subject_id, variant_id, text, candidate_id, release_id from flywheel.releases
        where not is_control
        union
        select loop, subject_id, variant_id, text, candidate_id, decision_id from flywheel.decisions where delivered
        union
        select loop, subject_id, variant_id, text, candidate_id, decision_id from flywheel.deliveries where delivered)
    where loop = $loop and (
        ($kind = 'variant' and variant_id = $known) or ($kind = 'candidate' and candidate_id = $known)
        or ($kind = 'release' and release_id = $known) or ($kind = 'subject' and subject_id = $known))
    order by subject_id, variant_id
"""
OF_ONE = """
    select withdrawal_id, loop, target, target_id, reason, undoes, by_column, withdrawal_id in (
        select undoes from flywheel.withdrawals where undoes is not null) as taken_back
    from flywheel.withdrawals where left(withdrawal_id, length($known)) = $known order by withdrawal_id limit 9
"""


class NothingToWithdrawError(LookupError):
    """Nothing that could come down bears this identity; the message names the remedy."""


@dataclass(frozen=True)
class Target:
    """What is to come down: its kind, identity and loop, and the `variants` (subject, variant, text) that go too."""

    kind: str
    target_id: str
    loop: str
    variants: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Withdrawal:
    """What became of a withdrawal: its identity, whether it was there before, and the outbox files written anew."""

    withdrawal_id: str
    known_before: bool
    outbox: tuple[Path, ...]


def target_of(
    warehouse: Warehouse, landing: Landing, given: str, loops: Mapping[str, Loop], loop: str | None = None
) -> Target:
    """What `given` names: a variant, candidate, release, decision or subject, or the beginning of one.

    A subject whose key is personal may be given as its sender writes it. Raises NothingToWithdrawError, and
    AmbiguousIdentityError where several begin so or several loops know it.
    """
    if not given.strip():
        raise ValueError("An empty identity names nothing: give a variant, candidate, release or subject.")
    if loop is not None and loop not in loops:
        raise NothingToWithdrawError(f"There is no loop {loop!r}; the loops found are {', '.join(sorted(loops))}.")
    personal = any(each.subjects.key_is_personal for each in loops.values())
    for text in (given, *([landing.pseudonym(given)] if personal else [])):
        found: dict[str, set[tuple[str, str]]] = {}
        for kind, sql in TARGETS.items():
            for of_loop, known in warehouse.read(sql, {"known": text}).iter_rows():
                if of_loop in loops and loop in (None, of_loop):
                    found.setdefault(known, set()).add((kind, of_loop))
        kinds = {known: " or ".join(sorted(kind for kind, _ in bearing)) for known, bearing in found.items()}
        if (whole := only_one(text, kinds)) is not None:
            return _target(warehouse, whole, found[whole])
    if not warehouse.read(CONTROL, {"known": given}).is_empty():
        raise NothingToWithdrawError(
            f"{given} is an original: it is in force without the flywheel. Change it where it is kept and land the "
            "subject again, or withdraw the subject."
        )
    raise NothingToWithdrawError(
        f"Nothing that could come down is known as {given!r}. Give a variant, candidate, release, decision or subject, "
        "or the beginning of one; the outbox and `flywheel trace` name them."
    )


def _target(warehouse: Warehouse, known: str, bearing: set[tuple[str, str]]) -> Target:
    named = sorted({of_loop for _, of_loop in bearing})
    if len(named) > 1:
        raise AmbiguousIdentityError(f"Several loops know {known!r} ({', '.join(named)}): name one with --loop.")
    kind = next(kind for kind in TARGETS if (kind, named[0]) in bearing)
    rows = warehouse.read(VARIANTS, {"loop": named[0], "kind": kind, "known": known})
    variants = tuple(rows.select("subject_id", "variant_id", "text").iter_rows())
    return Target(kind, known, named[0], variants)


def withdraw(
    warehouse: Warehouse,
    landing: Landing,
    outbox: Outbox,
    target: Target,
    loops: Mapping[str, Loop],
    *,
    reason: str,
    by: str | None = None,
) -> Withdrawal:
    """Land the withdrawal, take it in, and write the outbox of the turn in force anew. Saying it twice is saying it
    once. Raises ValueError without a reason."""
    if not reason.strip():
        raise ValueError("A withdrawal is kept with its reason: give --reason.")
    loop = loops[target.loop]
    if (known := _in_force(warehouse, target)) is not None:
        return Withdrawal(known, True, tuple(written_anew(warehouse, outbox, [loop])))
    before = _known(warehouse)
    row = {"target": target.kind, "target_id": target.target_id, "reason": reason.strip()}
    _land(landing, loop, row, by, target.target_id)
    (withdrawal_id,) = _known(warehouse) - before
    return Withdrawal(withdrawal_id, False, tuple(written_anew(warehouse, outbox, [loop])))


def undo(
    warehouse: Warehouse,
    landing: Landing,
    outbox: Outbox,
    given: str,
    loops: Mapping[str, Loop],
    *,
    reason: str | None = None,
    by: str | None = None,
) -> Withdrawal:
    """Take a withdrawal back, by its identity or the beginning of it; the same again changes nothing.

    What was released in the turn in force is served again as it was. Raises NothingToWithdrawError for an unknown one.
    """
    rows = {row["withdrawal_id"]: row for row in warehouse.read(OF_ONE, {"known": given}).to_dicts() if given.strip()}
    known = only_one(given, dict.fromkeys(rows, "withdrawal"))
    if known is None or rows[known]["undoes"] is not None or rows[known]["loop"] not in loops:
        raise NothingToWithdrawError(f"No withdrawal is known as {given!r}; `flywheel status` lists those in force.")
    loop = loops[rows[known]["loop"]]
    if not rows[known]["taken_back"]:
        _land(landing, loop, {"undoes": known, "reason": (reason or "").strip() or "Taken back."}, by, known)
    return Withdrawal(known, rows[known]["taken_back"], tuple(written_anew(warehouse, outbox, [loop])))


def withdrawn_lines(warehouse: Warehouse) -> list[str]:
    """What is withdrawn now, a sentence each."""
    lines = []
    for row in warehouse.read(IN_FORCE).to_dicts():
        down = warehouse.read(COMES_DOWN, {"loop": row["loop"]})
        variants = down.filter(down["withdrawal_id"] == row["withdrawal_id"])["variant_id"].drop_nulls().n_unique()
        lines.append(
            f"withdrawn since {row['withdrawn_at']:%Y-%m-%d %H:%M}: {row['target']} {row['target_id']} "
            f"of {row['loop']} ({variants} {'variant' if variants == 1 else 'variants'} down): {row['reason']} "
            f"[`flywheel withdraw --undo {row['withdrawal_id']}`]"
        )
    return lines


def _land(landing: Landing, loop: Loop, row: Mapping[str, Any], by: str | None, named: str) -> None:
    now = datetime.now(UTC)
    said = {**row, "withdrawn_by": by or getpass.getuser(), "withdrawn_at": now.isoformat()}
    landing.write("withdrawals", loop.name, [said], f"{now:%Y%m%dT%H%M%S%f}-{_plain(named)}")
    landing.ingest_withdrawals(loop, run_id="withdraw", progress=lambda _: None)


def _plain(identity: str) -> str:
    """An identity as part of a file's name."""
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "-_") else "_" for sign in identity)[:40]


def _in_force(warehouse: Warehouse, target: Target) -> str | None:
    rows: Sequence[Mapping[str, Any]] = warehouse.read(IN_FORCE).to_dicts()
    same = (target.loop, target.kind, target.target_id)
    return next((row["withdrawal_id"] for row in rows if (row["loop"], row["target"], row["target_id"]) == same), None)


def _known(warehouse: Warehouse) -> set[str]:
    return set(warehouse.read("select withdrawal_id from flywheel.withdrawals where undoes is null")["withdrawal_id"])
