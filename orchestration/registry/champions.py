"""Which policy is in force when: the chain of promotions, rollbacks and first policies.

Here: reading the chain, what its policies are, keeping MLflow's alias on it, and taking a champion back.
Not here: deciding on a promotion (graph.assets.promotion).
"""

from collections.abc import Callable
from datetime import UTC, date, datetime

from orchestration.registry.tracking import RegisteredPolicy, Tracking
from orchestration.tables import TABLES
from orchestration.warehouse.protocol import Warehouse

# After a turn's decision a rollback of the same turn has the last word. What late events would have decided is in force
# nowhere.
DECIDED = """
    select champion from (
        select turn, champion_after as champion, 0 as rank, coalesce(record, 0) as record, decided_at as since
        from flywheel.promotions where loop = $loop and turn < $turn and coalesce(took_effect, true)
        union all
        select turn, to_version, 1, 0, rolled_back_at from flywheel.rollbacks where loop = $loop and turn < $turn
    ) order by turn desc, rank desc, record desc, since desc limit 1
"""
FIRST = """
    select policy_version from flywheel.champions where loop = $loop and turn <= $turn order by turn limit 1
"""

VERSIONS = """
    select version from (
        select policy_version as version from flywheel.champions where loop = $loop
        union
        select policy_version from flywheel.challengers where loop = $loop
    ) as known where version is not null order by length(version), version
"""

KEPT = """
    select policy, mlflow_run_id from (
        select policy, mlflow_run_id, turn from flywheel.champions where loop = $loop and policy_version = $version
        union all
        select policy, mlflow_run_id, turn from flywheel.challengers where loop = $loop and policy_version = $version
    ) as known where policy is not null order by turn desc, mlflow_run_id, policy limit 1
"""
NEWEST = """
    select max(version::bigint) from (
        select policy_version as version from flywheel.champions where loop = $loop
        union all
        select policy_version from flywheel.challengers where loop = $loop
        union all
        select challenger from flywheel.promotions where loop = $loop
        union all
        select champion_after from flywheel.promotions where loop = $loop
        union all
        select to_version from flywheel.rollbacks where loop = $loop
    ) as known
"""


def newest_version(warehouse: Warehouse, loop: str) -> int:
    """Highest number that a version of the loop's policy has had, 0 before the first."""
    return int(warehouse.read(NEWEST, {"loop": loop}).item() or 0)


def policy_of(warehouse: Warehouse, tracking: Tracking, loop: str, version: str) -> RegisteredPolicy:
    """The policy of that version: as the warehouse keeps it, else from MLflow, which a person may have changed.

    Raises LookupError, naming the remedy, when neither has it.
    """
    kept = warehouse.read(KEPT, {"loop": loop, "version": version})
    if kept.is_empty():
        return tracking.version(loop, version)
    policy, run_id = kept.row(0)
    return RegisteredPolicy(version, run_id, policy)


def standing_champion(
    warehouse: Warehouse, tracking: Tracking, loop: str, turn: str, warn: Callable[[str], None]
) -> RegisteredPolicy | None:
    """The policy that `turn` is to obey: what the records say, and before any record MLflow's alias; None at the start.

    The warehouse's records of promotions and rollbacks decide. Where MLflow's alias says otherwise, since somebody
    moved or deleted it or its version, it is put back where MLflow still has the version, and `warn` hears of it.
    """
    try:
        version = champion_in_force(warehouse, loop, turn)
    except LookupError:
        return tracking.champion(loop)
    alias = tracking.champion_alias(loop)
    if alias != version and champion_in_force(warehouse, loop, date.max.isoformat()) == version:
        found = f"points to {alias}" if alias else "is gone"
        if tracking.set_champion(loop, version):
            warn(
                f"MLflow's alias `champion` of {loop}-policy {found}, against the records: it points to {version} "
                f"again. `flywheel rollback {loop} --to VERSION` changes the champion with a record."
            )
        else:
            warn(
                f"MLflow has lost {loop}-policy/{version}, the champion: the turn obeys it as the warehouse keeps it. "
                "New versions go on after the highest number there was."
            )
    return policy_of(warehouse, tracking, loop, version)


def champion_in_force(warehouse: Warehouse, loop: str, turn: str) -> str:
    """Version in force when `turn` was to be learned from: what the last decision before it left, else the first.

    Raises LookupError, naming the remedy, when no turn has been produced.
    """
    for sql in (DECIDED, FIRST):
        found = warehouse.read(sql, {"loop": loop, "turn": turn})
        if not found.is_empty():
            return str(found.item())
    raise LookupError(f"No turn of {loop} up to {turn} was produced: run the job `produce` first.")


def predecessor(warehouse: Warehouse, loop: str, version: str, turn: str) -> str | None:
    """The champion that `version` took over from, by a promotion before `turn`; None for the first one."""
    found = warehouse.read(
        "select champion_before from flywheel.promotions "
        "where loop = $loop and champion_after = $version and champion_before <> $version and turn < $turn "
        "and coalesce(took_effect, true) order by turn desc, coalesce(record, 0) desc limit 1",
        {"loop": loop, "version": version, "turn": turn},
    )
    return None if found.is_empty() else str(found.item())


def rolled_back_to(warehouse: Warehouse, loop: str, turn: str) -> str | None:
    """Version that a rollback after the decision of `turn` put in force; None without one."""
    found = warehouse.read(
        "select to_version from flywheel.rollbacks where loop = $loop and turn = $turn "
        "order by rolled_back_at desc limit 1",
        {"loop": loop, "turn": turn},
    )
    return None if found.is_empty() else str(found.item())


def roll_back(
    warehouse: Warehouse, tracking: Tracking, loop: str, reason: str, to: str | None = None
) -> tuple[str, str]:
    """Put the champion before the present one in force, or version `to`; (from, to). The next turn obeys.

    Where `to` is in force already, nothing changes. Raises LookupError, naming the remedy, when nothing was decided
    yet, when there is no earlier champion, and, without `to`, when the champion was taken back before and nothing was
    decided since: saying it twice takes one step.
    """
    if to is not None and to not in (known := warehouse.read(VERSIONS, {"loop": loop})["version"].to_list()):
        named = ", ".join(known) or "none yet"
        raise LookupError(f"{loop}-policy/{to[:40]} was never registered: its versions are {named}.")
    newest = warehouse.read("select max(turn) from flywheel.promotions where loop = $loop", {"loop": loop}).item()
    if newest is None:
        raise LookupError(f"No turn of {loop} has been learned, so there is nothing to roll back.")
    present = champion_in_force(warehouse, loop, date.max.isoformat())
    if to == present:  # asked again, as after a kill: the record is there, and only the alias may not be
        tracking.set_champion(loop, present)
        return present, present
    if to is None and rolled_back_to(warehouse, loop, str(newest)) == present:
        raise LookupError(
            f"{loop}-policy/{present} is in force by a rollback, and no turn was decided on since: nothing changed. "
            "To go back further, name a version with --to."
        )
    target = to or predecessor(warehouse, loop, present, date.max.isoformat())
    if target is None:
        raise LookupError(f"{loop}-policy/{present} is the first champion; name another version with --to.")
    policy_of(warehouse, tracking, loop, target)
    row = {
        "turn": newest,
        "loop": loop,
        "from_version": present,
        "to_version": target,
        "reason": reason,
        "rolled_back_at": datetime.now(UTC).replace(tzinfo=None),
    }
    warehouse.append(TABLES["rollbacks"], TABLES["rollbacks"].frame([row]))
    tracking.set_champion(loop, target)
    return present, target
