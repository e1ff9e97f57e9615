"""The settings that define a home: under others its turns, draws and pseudonyms would mean something else.

Here: recording them, and refusing a run under others once the home has turns.
Not here: which settings those are (settings marks each of them) and when they are held (graph.beginning).

They are recorded in the warehouse, beside the facts that they explain. The home names the warehouse that it belongs to,
so that a lost file, or an address that leads to an empty database, is not taken for a beginning.
"""

import json
import uuid
from datetime import UTC, datetime

from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.turns import LENGTHS
from orchestration.warehouse.protocol import Warehouse

BELONGS = "home.json"
_WAREHOUSE, _KEY = "warehouse", "pseudonym_key"
RECORDED = "select setting, value from flywheel.home_settings"
HAS_TURNS = """
    select count(*) > 0 from (
        select turn from flywheel.champions
        union all
        select turn from flywheel.releases
        union all
        select turn from flywheel.decisions
        union all
        select turn from flywheel.events
    ) as known
"""
OF_ANOTHER_CALENDAR = """
    select min(turn)::varchar from (
        select turn from flywheel.champions
        where turn < $first::date or (turn - $first::date) % $days <> 0
        union all
        select turn from flywheel.events
        where turn < $first::date or (turn - $first::date) % $days <> 0
           or occurred_at::date - turn >= $days
    ) as known
"""


class HomeSettingsError(ValueError):
    """A setting is not the one that the home was set up with; the message names both and the remedy."""


def hold_settings(settings: Settings, warehouse: Warehouse) -> None:
    """Record the settings that define the home; once it has turns, hold a run to those recorded.

    Raises HomeSettingsError, before anything is changed, naming each setting that differs.
    """
    recorded = dict(warehouse.read(RECORDED).iter_rows())
    living = bool(warehouse.read(HAS_TURNS).item())
    present = defining(settings)
    belongs = settings.root / BELONGS
    known = json.loads(belongs.read_text())[_WAREHOUSE] if belongs.exists() else None
    if known is not None and (not living or recorded.get(_WAREHOUSE, known) != known):
        raise HomeSettingsError(
            f"The turns of {settings.home} lie in another warehouse than {warehouse.name}: set FLYWHEEL_WAREHOUSE to "
            "what it was, bring a lost file back from a backup, or begin anew in another FLYWHEEL_HOME."
        )
    if living and recorded:
        differing = [_differs(name, recorded[name], value) for name, value in present.items() if name in recorded]
        if found := [sentence for sentence in differing if sentence]:
            raise HomeSettingsError(" ".join(found))
    elif living:
        _refuse_another_calendar(settings, warehouse)
    wanted = {
        **present,
        **(recorded if living else {}),
        _WAREHOUSE: recorded.get(_WAREHOUSE) or known or uuid.uuid4().hex,
    }
    if wanted != recorded:
        now = datetime.now(UTC).replace(tzinfo=None)
        table = TABLES["home_settings"]
        rows = [{"setting": name, "value": value, "recorded_at": now} for name, value in sorted(wanted.items())]
        warehouse.replace(table, table.frame(rows))
    if living and known is None:
        partial = belongs.with_name(f".{BELONGS}.partial")
        partial.write_text(json.dumps({_WAREHOUSE: wanted[_WAREHOUSE]}))
        partial.replace(belongs)


def defining(settings: Settings) -> dict[str, str]:
    """The settings that define a home, as text. Of the key of pseudonyms only a pseudonym that it gives."""
    values = {name: str(getattr(settings, name)) for name in settings.defining() if name != _KEY}
    return {**values, _KEY: Pseudonyms.of(settings).pseudonym("the key that this home was set up with")}


def _differs(name: str, recorded: str, present: str) -> str | None:
    variable = f"FLYWHEEL_{name.upper()}"
    if recorded == present:
        return None
    if name == _KEY:
        return (
            f"{variable} is not the key that the pseudonyms of this home were made with: set that key again; under "
            "another one every unit would count as a new one."
        )
    return (
        f"{variable} is {present}, but this home has turns under {recorded}: set {variable}={recorded}, or turn under "
        f"{present} in a home of its own (FLYWHEEL_HOME)."
    )


def _refuse_another_calendar(settings: Settings, warehouse: Warehouse) -> None:
    """Of a home made before settings were recorded: its turns must be turns under these settings."""
    calendar = {"first": settings.first_turn.isoformat(), "days": LENGTHS[settings.cadence].days}
    turn = warehouse.read(OF_ANOTHER_CALENDAR, calendar).item()
    if turn is not None:
        raise HomeSettingsError(
            f"This home has a turn {turn} that is none of {settings.cadence} turns from {settings.first_turn} on: set "
            "FLYWHEEL_CADENCE and FLYWHEEL_FIRST_TURN to what they were."
        )
