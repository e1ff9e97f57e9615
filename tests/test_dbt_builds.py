"""Building KPIs: again, for some turns only, over a broken promise, while another process has the file."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestration.warehouse.dbt import BuildFailedError, Dbt, NodeResult
from orchestration.warehouse.dbt_project import invoke, parsed
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.warehouse.protocol import WarehouseBusyError
from tests.turn_facts import NEXT, TURN, TurnFacts

HALVES = {"original": 0.5, "playful": 0.5}
MARTS = ("variant_readouts", "variant_outcomes", "turn_kpis", "momentum", "experiment_readouts", "sample_ratios",
         "holdout_ratios", "turn_costs")  # fmt: skip
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def facts(tmp_path: Path) -> TurnFacts:
    return TurnFacts(tmp_path)


class History:
    """Two turns, built one way after the other; what was found each time."""

    def __init__(self, folder: Path) -> None:
        self.facts = TurnFacts(folder)
        self.told: list[str] = []
        self._two_turns()
        self.first, self.after_first = self._built(TURN, NEXT, progress=self.told.append)
        self.again, self.after_again = self._built(TURN)
        self.facts.outcome("u1", "s1", "complaint", "2026-01-07 10:00")
        _, self.after_late = self._built(TURN)
        _, self.after_refresh = self._built(full_refresh=True)
        with self.facts.warehouse.connect() as connection:
            connection.execute(f"delete from flywheel.releases where turn = '{TURN}'")
            connection.execute(f"delete from flywheel.exposures where turn = '{TURN}'")
        _, self.after_loss = self._built(TURN)

    def _built(self, *turns: str, **options: Any) -> tuple[dict[str, NodeResult], Rows]:
        self.facts.flush()
        results = self.facts.dbt.build(turns, **options)
        return {result.name: result for result in results}, {mart: self.facts.mart(mart) for mart in MARTS}

    def _two_turns(self) -> None:
        random = np.random.default_rng(3)
        for turn, day in ((TURN, "2026-01-06"), (NEXT, "2026-01-13")):
            for subject in ("s1", "s2", "s3"):
                self.facts.release(subject, HALVES, turn=turn)
                for number in range(200):
                    held = number % 10 == 0
                    variant = "original" if held else str(random.choice(["original", "playful"]))
                    unit = f"u{number}"
                    self.facts.expose(unit, subject, variant, f"{day} 09:00", turn=turn, in_holdout=held)
                    if random.random() < 0.3:
                        value = float(random.normal(20, 5))
                        self.facts.outcome(unit, subject, "click", f"{day} 10:00", turn=turn)
                        self.facts.outcome(unit, subject, "purchase", f"{day} 10:00", turn=turn, value=value)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    return History(tmp_path_factory.mktemp("history"))


def of(turn: str, rows: Rows) -> Rows:
    return {mart: [row for row in found if str(row["turn"]) == turn] for mart, found in rows.items()}


def test_another_build_gives_the_same_rows(history: History) -> None:
    assert all(history.after_first.values())
    assert history.after_again == history.after_first


def test_a_late_event_changes_its_turn_and_no_other(history: History) -> None:
    assert of(NEXT, history.after_late) == of(NEXT, history.after_first)
    complaints = [row for row in of(TURN, history.after_late)["turn_kpis"] if row["outcome"] == "complaint"]
    assert sum(row["converted"] for row in complaints) == 1
    assert history.after_late["momentum"] == history.after_first["momentum"]


def test_a_full_refresh_gives_the_same_rows_for_all_turns(history: History) -> None:
    assert history.after_refresh == history.after_late


def test_a_turn_whose_facts_are_gone_is_emptied(history: History) -> None:
    assert not any(of(TURN, history.after_loss).values())
    assert of(NEXT, history.after_loss) == of(NEXT, history.after_first)


def test_views_are_made_once_and_rows_are_counted(history: History) -> None:
    assert history.first["stg_exposures"].status == "success"
    assert history.again["stg_exposures"].status == "kept"
    assert history.first.keys() == history.again.keys()
    assert history.first["variant_readouts"].rows == 12
    assert history.again["variant_readouts"].rows == 6


def test_progress_is_a_line_a_model(history: History) -> None:
    assert sum("momentum: OK" in line for line in history.told) == 1
    assert len(history.told) < 40


def test_a_treated_holdout_counts_nowhere_and_much_of_it_stops_the_turn(facts: TurnFacts) -> None:
    facts.release("s1", HALVES)
    for number in range(200):
        facts.expose(f"held{number}", "s1", "original", "2026-01-06 09:00", in_holdout=True)
    facts.expose("stray", "s1", "playful", "2026-01-06 09:00", in_holdout=True)
    facts.outcome("stray", "s1", "click", "2026-01-06 10:00")
    (warned,) = [result for result in facts.build() if result.status == "warn"]
    assert warned.name.startswith("holdout_left_alone")
    momentum = facts.only("momentum")
    assert (momentum["holdout_units"], momentum["holdout_reward"], momentum["treated_units"]) == (200, 0.0, 0)

    for number in range(9):
        facts.expose(f"stray{number}", "s1", "playful", "2026-01-06 09:00", in_holdout=True)
    with pytest.raises(BuildFailedError, match="holdout_left_alone"):
        facts.build()


def test_a_broken_promise_names_its_test_and_where_to_look(facts: TurnFacts) -> None:
    facts.release("s1", {"original": 0.5, "playful": 0.6})
    with pytest.raises(BuildFailedError, match="sound_releases") as failure:
        facts.build()
    where = str(failure.value).split("SQL to look at: ")[1].split(".sql")[0] + ".sql"
    assert "sum(share)" in Path(where).read_text(encoding="utf-8")
    assert any(result.status == "skipped" for result in failure.value.results)


def test_an_exposure_without_a_release_is_not_lost_in_silence(facts: TurnFacts) -> None:
    facts.release("s1", HALVES)
    facts.expose("ann", "s1", "playful", "2026-01-06 09:00")
    facts.expose("bob", "s1", "of nowhere", "2026-01-06 09:00")
    with pytest.raises(BuildFailedError, match="every_exposure_is_counted"):
        facts.build(select=["turn_kpis"])


def test_a_mart_is_never_filled_from_the_working_tables_of_another_turn(facts: TurnFacts) -> None:
    for turn, day in ((TURN, "2026-01-06"), (NEXT, "2026-01-13")):
        facts.release("s1", HALVES, turn=turn)
        facts.expose("ann", "s1", "playful", f"{day} 09:00", turn=turn)
        facts.build(turn, select=["momentum"])
    with facts.warehouse.connect() as connection:
        connection.execute(f"update flywheel.turn_scope set turn = '{TURN}'")
        alone = ["run", "--no-write-json", "--select", "momentum"]
        outcome = invoke(alone, target=facts.warehouse.dbt_target(), manifest=parsed())
    assert "--select +momentum" in outcome.results[0].message
    assert len(facts.mart("momentum")) == 2


def test_a_held_warehouse_is_waited_for_and_free_after_a_build(facts: TurnFacts) -> None:
    facts.build(select=["stg_champions"])
    holding = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(facts.warehouse.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n", "the build left the file open"
        with pytest.raises(WarehouseBusyError, match="FLYWHEEL_LOCK_TIMEOUT_S"):
            Dbt(DuckDBWarehouse(facts.warehouse.path, lock_timeout_s=0.1)).build([TURN])
        holder.communicate()
    facts.build(select=["stg_champions"])


def test_turns_are_named_before_anything_is_built(facts: TurnFacts) -> None:
    with pytest.raises(ValueError, match="full refresh"):
        facts.dbt.build([])
