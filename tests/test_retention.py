"""Which rows go when only the newest turns are kept: none that a kept turn or learning rests on, and each counted."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.retention.files import unneeded_landed
from orchestration.retention.rows import kept_from, policies_needed, pruned_problem, pruned_to, take_away
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import DuckDBWarehouse

TURNS = [date(2026, 1, 5) + timedelta(weeks=week) for week in range(12)]
SUITE = json.loads((Path(__file__).resolve().parent.parent / "expectations" / "landing.json").read_text())


def add(warehouse: DuckDBWarehouse, name: str, *rows: dict[str, Any]) -> None:
    table = TABLES[name]
    warehouse.append(table, table.frame([dict.fromkeys(table.columns) | row for row in rows]))


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    """Twelve weekly turns of a loop, each with a file of two events, an exposure, and two candidates of which one went
    out; the second turn promoted version 2, which is champion since."""
    filled = DuckDBWarehouse(tmp_path / "w.duckdb")
    with filled.kept():
        for number, turn in enumerate(TURNS):
            of = {"turn": turn, "loop": "content"}
            champion = "1" if number < 2 else "2"
            add(filled, "champions", {**of, "policy_version": champion, "policy": "{}"})
            add(filled, "challengers", {**of, "policy_version": str(number + 1), "policy": "{}"})
            decided = {"champion_before": champion, "champion_after": "1" if number < 1 else "2", "challenger": "9"}
            add(filled, "promotions", {**of, **decided, "decided_at": datetime(2026, 6, 1)})
            sent = [{**of, "event_id": f"e{number}-{each}", "file_hash": f"f{number}"} for each in range(2)]
            add(filled, "events", *sent)
            add(filled, "exposures", {**of, "exposure_id": f"e{number}-0"})
            file = {"kind": "events", "file_hash": f"f{number}", "name": f"events/{number}.ndjson", "bytes": 1}
            counts = {"rows_read": 2, "accepted": 2, "duplicates": 0, "quarantined": 0, "modified_ns": 0}
            add(filled, "landed_files", {**file, **counts})
            for each, text in (("out", "kept"), ("not", "goes")):
                ids = {"brief_id": f"b{number}-{each}", "candidate_id": f"c{number}-{each}"}
                add(filled, "briefs", {**of, **ids, "messages": text, "option_id": "o", "propensity": 0.5})
                add(filled, "candidates", {**of, **ids, "text": text, "status": "ok"})
            add(filled, "releases", {**of, "candidate_id": f"c{number}-out", "policy_version": champion})
            add(filled, "evidence", {**of, "subject_id": "s", "variant_id": "v", "units": 1})
    return filled


def turns_of(warehouse: DuckDBWarehouse, name: str) -> list[date]:
    return sorted(set(warehouse.rows(TABLES[name])["turn"]))


def missing_from_table(warehouse: DuckDBWarehouse) -> int:
    aggregate = SUITE["profile"]["missing_from_table"].replace("$kind", "'events'")
    return int(warehouse.read(f"select {aggregate} from flywheel.landed_files where kind = 'events'").item())


def test_events_go_once_no_kept_turn_reaches_back_to_them_and_all_that_is_learned_from_stays(
    warehouse: DuckDBWarehouse,
) -> None:
    first = kept_from(warehouse, 3)
    assert first == TURNS[-3]
    assert take_away(warehouse, first) == 4 * (2 + 1)
    assert turns_of(warehouse, "events") == turns_of(warehouse, "exposures") == TURNS[4:]
    for name in ("evidence", "releases", "promotions", "briefs", "candidates", "champions"):
        assert turns_of(warehouse, name) == TURNS
    assert missing_from_table(warehouse) == 0, "each row that went is accounted for"
    assert take_away(warehouse, first) == 0
    assert warehouse.rows(TABLES["prunings"]).height == 1


def test_texts_go_that_never_went_out_and_what_a_brief_costs_and_chose_stays(warehouse: DuckDBWarehouse) -> None:
    waits = {"turn": TURNS[0], "loop": "content", "candidate_id": "c0-not", "decision": "wait"}
    add(warehouse, "reviews", waits)
    take_away(warehouse, TURNS[-3])
    briefs = warehouse.rows(TABLES["briefs"])
    assert briefs["messages"].to_list().count("kept") == 12
    assert briefs["messages"].to_list().count("goes") == 3 + 1, "of kept turns, and the one that waits for a person"
    assert set(briefs["option_id"]) == {"o"}
    assert warehouse.rows(TABLES["candidates"])["text"].null_count() == 8


def test_a_turn_that_waits_to_be_learned_is_kept_whole(warehouse: DuckDBWarehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute(f"delete from flywheel.promotions where turn = '{TURNS[5]}'")
    assert kept_from(warehouse, 3) == TURNS[5]
    assert kept_from(warehouse, 12) is None


def test_a_pruned_turn_is_told_and_the_others_are_not(warehouse: DuckDBWarehouse) -> None:
    assert pruned_to(warehouse) is None
    take_away(warehouse, TURNS[-3])
    assert "was pruned" in str(pruned_problem(warehouse, TURNS[-4].isoformat()))
    assert pruned_problem(warehouse, TURNS[-3].isoformat()) is None


def test_versions_that_kept_turns_or_the_chain_of_champions_speak_of_are_needed(warehouse: DuckDBWarehouse) -> None:
    add(warehouse, "rollbacks", {"turn": TURNS[-1], "loop": "content", "from_version": "5", "to_version": "2"})
    assert policies_needed(warehouse, TURNS[-3]) == {"content": {"2", "5", "10", "11", "12"}}


def test_a_landed_file_is_touched_only_as_it_was_taken_in(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    events = tmp_path / "landing" / "events"
    events.mkdir(parents=True)
    for number in (0, 1, 11, 99):
        (events / f"{number}.ndjson").write_text("x" if number != 1 else "written again")
    with warehouse.connect() as connection:
        modified = (events / "0.ndjson").stat().st_mtime_ns
        connection.execute("update flywheel.landed_files set modified_ns = ?", [modified])
    found = [path.name for path in unneeded_landed(warehouse, tmp_path / "landing", TURNS[-3])]
    assert found == ["0.ndjson"]
