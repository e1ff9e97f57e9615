"""Gates: what the suites find in a sound turn and in broken ones, and what a failure stops."""

import json
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
import yaml

from orchestration.assignment import chosen, in_holdout, point, subject_salt
from orchestration.generation.calls import STATUSES
from orchestration.graph.checks import build_checks
from orchestration.loops.content import declare as content
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.turns import turn_partitions
from orchestration.warehouse import gates
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.warehouse.gates import Finding, judged
from orchestration.warehouse.suites import Suite, read_suites

TURN, UNTIL = "2026-01-05", "2026-01-12"
SHARES = {"original": 0.2, "plain": 0.3, "playful": 0.5}
SUBJECTS = [f"s{number}" for number in range(4)]
MARTS = Path(__file__).resolve().parents[1] / "dbt_project" / "models" / "marts"


def suite(name: str) -> Suite:
    (found,) = (suite for suite in read_suites(["content"]) if suite.identity == name)
    return found


def findings(warehouse: DuckDBWarehouse, name: str) -> dict[str, Finding]:
    return {finding.expectation.name: finding for finding in judged(warehouse, suite(name), TURN, UNTIL)}


def not_passed(warehouse: DuckDBWarehouse, name: str) -> dict[str, str]:
    return {name: f.status for name, f in findings(warehouse, name).items() if not f.passed}


def change(warehouse: DuckDBWarehouse, sql: str) -> None:
    with warehouse.connect() as connection:
        connection.execute(sql)


def put(warehouse: DuckDBWarehouse, table: str, rows: list[dict]) -> None:
    """Rows with the columns given; the others are null."""
    declared = TABLES[table]
    named = [name for name in declared.columns if name in rows[0]]
    with warehouse.connect() as connection:
        connection.register("incoming", pl.DataFrame(rows, infer_schema_length=None).select(named).to_arrow())
        connection.execute(f"insert into {declared.qualified} ({', '.join(named)}) select * from incoming")


@pytest.fixture
def warehouse(sound, tmp_path) -> DuckDBWarehouse:
    """A sound turn that a test may break."""
    return DuckDBWarehouse(Path(shutil.copy(sound.path, tmp_path / "warehouse.duckdb")))


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> DuckDBWarehouse:
    """A sound turn: 4 subjects, 3 variants each, 3,000 units a subject assigned by the rule of the outbox."""
    warehouse = DuckDBWarehouse(tmp_path_factory.mktemp("sound") / "warehouse.duckdb")
    in_turn = {"turn": datetime(2026, 1, 5).date(), "loop": "content"}
    start = datetime(2026, 1, 5, 9)
    put(warehouse, "subjects", [
        in_turn | {"subject_id": s, "version": "1", "format": "headline", "category": "pantry",
                   "original": f"Sauce {s}", "facts": '{"type": "sauce"}'} for s in SUBJECTS
    ])  # fmt: skip
    recipes = [(s, r) for s in SUBJECTS for r in ("plain", "playful")]
    put(warehouse, "briefs", [
        in_turn | {"brief_id": f"b-{s}-{r}", "subject_id": s, "recipe_id": r, "messages": '[{"role": "user"}]',
                   "prompt_name": "p", "prompt_version": 1, "policy_version": "1", "propensity": 0.5}
        for s, r in recipes
    ])  # fmt: skip
    put(warehouse, "candidates", [
        in_turn | {"candidate_id": f"c-{s}-{r}", "brief_id": f"b-{s}-{r}", "subject_id": s, "recipe_id": r,
                   "status": "ok", "text": f"Text {s} {r}", "error": None} for s, r in recipes
    ])  # fmt: skip
    put(warehouse, "reviews", [
        in_turn | {"candidate_id": f"c-{s}-{r}", "decision": "publish", "decided_by": "gate"} for s, r in recipes
    ])  # fmt: skip
    put(warehouse, "releases", [
        in_turn | {"release_id": f"r-{s}", "subject_id": s, "category": "pantry", "variant_id": f"{s}-{v}",
                   "is_control": v == "original", "candidate_id": None if v == "original" else f"c-{s}-{v}",
                   "text": f"Text {s} {v}", "share": share, "holdout": 0.1, "policy_version": "1"}
        for s in SUBJECTS for v, share in SHARES.items()
    ])  # fmt: skip
    events = []
    for subject in SUBJECTS:
        for number in range(3000):
            unit = f"unit-{number}"
            held = in_holdout("content", unit, 0.1)
            index = 0 if held else chosen(list(SHARES.values()), point(subject_salt("content", subject), unit))
            variant = list(SHARES)[index]
            events.append(in_turn | {
                "event_id": f"{subject}-{number}", "event_type": "exposure", "subject_id": subject,
                "variant_id": f"{subject}-{variant}", "unit_id": unit, "occurred_at": start + timedelta(seconds=number),
                "ingested_at": start + timedelta(days=2), "in_holdout": held, "simulated": True,
                "propensity": 1.0 if held else SHARES[variant], "file_hash": "f1", "value": None,
            })  # fmt: skip
    put(warehouse, "events", events)
    put(warehouse, "exposures", [
        event | {"exposure_id": event["event_id"], "release_id": f"r-{event['subject_id']}",
                 "is_control": event["variant_id"].endswith("original")} for event in events
    ])  # fmt: skip
    put(warehouse, "landed_files", [
        {"file_hash": "f1", "kind": "events", "rows_read": len(events) + 3, "accepted": len(events), "duplicates": 2,
         "quarantined": 1}
    ])  # fmt: skip
    put(warehouse, "quarantine", [{"file_hash": "f1", "kind": "events", "line": 7, "reason": "bad_time"}])
    return warehouse


SOUND = ("subjects_content", "briefs_content", "candidates_content", "releases_content", "events", "exposures",
         "landing_events")  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_turn_passes_every_expectation(warehouse, name):
    assert not_passed(warehouse, name) == {}


BROKEN = [
    ("subjects_content", "insert into flywheel.subjects select * from flywheel.subjects where subject_id = 's0'",
     "one_row_a_subject"),
    ("subjects_content", "update flywheel.subjects set original = ' ' where subject_id = 's0'", "complete"),
    ("subjects_content", "update flywheel.subjects set facts = '[1]' where subject_id = 's0'", "facts_are_objects"),
    ("subjects_content", "update flywheel.subjects set original = 'placeholder'", "originals_differ"),
    ("subjects_content", "update flywheel.subjects set original = 'x' where subject_id = 's0'",
     "originals_of_a_readable_length"),
    ("briefs_content", "update flywheel.briefs set propensity = 0 where subject_id = 's0'", "propensities_possible"),
    ("briefs_content", "update flywheel.briefs set messages = 'no json' where subject_id = 's0'", "messages_readable"),
    ("candidates_content", "delete from flywheel.candidates where subject_id = 's0'", "no_brief_lost"),
    ("candidates_content", "update flywheel.candidates set text = null where subject_id = 's0'",
     "status_and_text_agree"),
    ("candidates_content", "update flywheel.candidates set status = 'odd', text = null, error = 'x' "
     "where subject_id = 's0'", "known_status"),
    ("candidates_content", "update flywheel.candidates set text = 'same'", "texts_differ"),
    ("releases_content", "update flywheel.releases set share = share + 0.1 where subject_id = 's0'",
     "shares_sum_to_one"),
    ("releases_content", "update flywheel.releases set is_control = false, candidate_id = 'c-s0-plain' "
     "where variant_id = 's0-original'", "one_control_a_subject"),
    ("releases_content", "delete from flywheel.reviews where candidate_id = 'c-s0-plain'", "nothing_unapproved"),
    ("releases_content", "update flywheel.reviews set decision = 'block' where candidate_id = 'c-s0-plain'",
     "nothing_unapproved"),
    ("releases_content", "update flywheel.releases set holdout = 0", "holdout_kept"),
    ("events", "update flywheel.events set event_id = 's0-1' where event_id = 's0-2'", "each_event_once"),
    ("events", "update flywheel.events set occurred_at = '2026-01-12' where event_id = 's0-2'", "inside_the_turn"),
    ("events", "update flywheel.events set propensity = 0.4 where event_id = 's0-2'", "propensities_agree"),
    ("events", "update flywheel.events set value = 'inf' where event_id = 's0-2'", "values_finite"),
    ("events", "update flywheel.events set simulated = false where event_id = 's0-2'", "one_origin"),
    ("events", "update flywheel.events set variant_id = null where event_id = 's0-2'", "exposures_name_their_variant"),
    ("events", "update flywheel.events set value = 1e6 where event_id = 's0-2'; "
     "update flywheel.events set value = 3 where event_id like 's0-1%'", "amounts_of_a_size"),
    ("events", "update flywheel.releases set released_at = '2026-01-05 10:00'", "not_before_their_release"),
    ("exposures", "update flywheel.exposures set variant_id = 'odd' where exposure_id = 's0-2'",
     "variants_were_released"),
    ("exposures", "update flywheel.exposures set propensity = propensity + 1e-6 where exposure_id = 's0-2'",
     "propensity_as_released"),
    ("exposures", "insert into flywheel.exposures select * from flywheel.exposures where exposure_id = 's0-2'",
     "no_exposure_multiplied"),
    ("exposures", "delete from flywheel.exposures where exposure_id = 's0-2'", "no_exposure_dropped"),
    ("landing_events", "update flywheel.landed_files set rows_read = rows_read + 1", "rows_accounted_for"),
    ("landing_events", "delete from flywheel.quarantine", "quarantine_complete"),
    ("landing_events", "delete from flywheel.events where event_id = 's0-2'", "accepted_rows_kept"),
    ("landing_events", "update flywheel.landed_files set rows_read = 12901, quarantined = 901, duplicates = 0, "
     "accepted = 12000", "little_quarantined"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sql", "caught"), BROKEN, ids=[f"{name}-{caught}" for name, _, caught in BROKEN])
def test_each_fault_is_caught_by_the_expectation_about_it(warehouse, name, sql, caught):
    change(warehouse, sql)
    assert not_passed(warehouse, name).get(caught) == "failed"


def test_events_whose_identities_say_the_same_twice_are_not_taken_for_repeated(warehouse):
    """DuckDB's hash of one in a hundred such texts is that of another: it may choose rows, and identifies none."""
    subject = "'s' || 1 + n // 6000 || 'a' || n // 150 % 40"
    identity = (
        f"'titles_' || 1 + n // 6000 || '-2026-01-05-' || {subject} || '-2026-01-05-' || {subject} || '-' || n % 150"
    )
    change(
        warehouse,
        f"""
        insert into flywheel.events
        select sent.* replace ({identity} || '-x' as event_id)
        from (select * from flywheel.events limit 1) as sent, range(30000) as numbers(n)
        """,
    )
    hashed, known = warehouse.read(
        "select count(distinct hash(event_id)), count(distinct event_id) from flywheel.events"
    ).row(0)
    assert hashed < known, "the hash has become better: this example shows nothing any more"
    assert "each_event_once" not in not_passed(warehouse, "events")


REFUSED = """
    insert into flywheel.quarantine (file_hash, kind, line, reason, event_turn, event_loop, event_type)
    select 'f2', 'events', n, case when n % 5 = 0 then 'junk_unit' else 'bad_timestamp' end,
        date '2026-01-05', {loop}, {type} from range({rows}) as t(n);
    insert into flywheel.landed_files (file_hash, kind, name, rows_read, accepted, duplicates, quarantined, ingested_at)
    values ('f2', 'events', 'events/clicks.csv', {rows}, 0, 0, {rows}, timestamp '2026-01-12 01:00');
"""
CLICKS = """
    insert into flywheel.events
    select e.* replace ('click' as event_type, 'c' || n as event_id) from (select * from flywheel.events limit 1) as e,
        range({rows}) as t(n)
"""


@pytest.mark.parametrize(
    ("refused", "accepted", "said"),
    [
        (40, 0, "content click: 40 of 40 rows refused (100%), mostly bad_timestamp, as in landing/events/clicks.csv"),
        (40, 60, "content click: 40 of 100 rows refused (40%)"),
        (40, 400, None),
        (2, 1, None),  # chance
    ],
)
def test_one_type_of_event_refused_blocks_though_the_others_are_fine(warehouse, refused, accepted, said):
    """All files ever, and all types together, show one row in a hundred refused."""
    change(warehouse, CLICKS.format(rows=accepted))
    change(warehouse, REFUSED.format(rows=refused, loop="'content'", type="'click'"))
    finding = findings(warehouse, "events")["few_refused_of_any_type"]
    assert finding.expectation.blocking
    assert finding.passed == (said is None)
    assert (said or "nothing to judge") in finding.observed


@pytest.mark.parametrize(
    ("loop", "accepted", "passed"), [("null", 0, False), ("'content'", 0, False), ("null", 50, True)]
)
def test_rows_that_nobody_can_tell_the_type_of_block_where_no_outcome_is_left(warehouse, loop, accepted, passed):
    change(warehouse, CLICKS.format(rows=accepted))
    change(warehouse, REFUSED.format(rows=70, loop=loop, type="null"))
    assert findings(warehouse, "events")["few_refused_of_any_type"].passed == passed


@pytest.mark.parametrize(
    "remedy",
    [
        "update flywheel.quarantine set mended_by = 'f3' where file_hash = 'f2'",
        "insert into flywheel.landed_files (file_hash, kind, name, ingested_at) "
        "values ('f3', 'events', 'events/clicks.csv', timestamp '2026-01-12 02:00')",
        "update flywheel.quarantine set event_turn = date '2026-01-12' where file_hash = 'f2'",
    ],
    ids=["the same events came", "a file of the same name came", "they were of another turn"],
)
def test_refused_rows_block_no_longer_once_they_came_in_good_order(warehouse, remedy):
    change(warehouse, REFUSED.format(rows=40, loop="'content'", type="'click'"))
    assert "few_refused_of_any_type" in not_passed(warehouse, "events")
    change(warehouse, remedy)
    assert "few_refused_of_any_type" not in not_passed(warehouse, "events")


def test_events_that_came_after_the_next_release_are_told_of(warehouse):
    change(warehouse, "insert into flywheel.releases (turn, loop, subject_id, variant_id, released_at) "
                      "values ('2026-01-12', 'content', 's0', 'v', timestamp '2026-01-06')")  # fmt: skip
    assert not_passed(warehouse, "events") == {"few_late": "failed"}


def test_a_holdout_that_is_treated_is_seen_at_once_and_blocks_above_one_percent(warehouse):
    treat = (
        "update flywheel.exposures set is_control = false, variant_id = 's0-plain' where in_holdout and exposure_id "
    )
    change(warehouse, treat + "= (select min(exposure_id) from flywheel.exposures where in_holdout)")
    assert not_passed(warehouse, "exposures") == {"holdout_never_treated": "failed"}
    change(warehouse, treat + "like 's0-%'")
    assert set(not_passed(warehouse, "exposures")) == {"holdout_never_treated", "holdout_left_alone"}


AGAIN = """
    insert into flywheel.exposures
    select * replace (exposure_id || '-again' as exposure_id, occurred_at + interval 1 hour as occurred_at)
    from flywheel.exposures where variant_id = 's0-plain'
"""


def test_a_sample_ratio_mismatch_in_one_subject_is_found_and_a_repeated_exposure_is_none(warehouse):
    change(warehouse, AGAIN)
    assert "sample_ratio" not in not_passed(warehouse, "exposures")
    # a cache that serves one variant loses a fifth of the others' exposures
    change(warehouse, "delete from flywheel.exposures where variant_id = 's0-playful' and hash(unit_id) % 5 = 0")
    found = findings(warehouse, "exposures")["sample_ratio"]
    assert found.status == "failed"
    assert float(found.observed.split(" = ")[1]) < 1e-6


def test_a_sound_assignment_is_hardly_ever_called_a_mismatch():
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(400):
        counted = pl.concat(
            pl.DataFrame({"loop": loop, "subject_id": s, "units": rng.multinomial(60, list(SHARES.values())),
                          "share": list(SHARES.values())})
            for loop in ("content", "support") for s in SUBJECTS
        )  # fmt: skip
        p = gates.sample_ratio(counted)
        assert p is not None
        alarms += p < 0.001
    assert alarms <= 3
    assert gates.sample_ratio(counted.with_columns(units=0)) is None


def test_a_missing_column_could_not_run_and_the_other_expectations_still_do(warehouse):
    change(warehouse, "alter table flywheel.exposures rename column in_holdout to held_out")
    change(warehouse, "alter table flywheel.subjects rename column original to before")
    found = findings(warehouse, "exposures")
    assert found["sample_ratio"].status == found["propensity_as_released"].status == "could not run"
    assert "in_holdout" in found["sample_ratio"].observed
    assert found["no_exposure_multiplied"].status == "passed"
    rows = findings(warehouse, "subjects_content")
    assert rows["originals_of_a_readable_length"].status == "could not run"
    assert rows["facts_are_objects"].status == "passed"


def test_what_great_expectations_swallows_could_not_run(warehouse, tmp_path):
    """It reports a text compared with a number as a mere failure, with the exception beside it."""
    on_rows = PAGE["expectations"][0] | {
        "kwargs": {"column": "original", "min_value": 1},
        "meta": PAGE["expectations"][0]["meta"] | {"on": "rows"},
    }
    (compared,) = read_suites(["content"], written(tmp_path, expectations=[on_rows]))
    (finding,) = judged(warehouse, compared, TURN, UNTIL)
    assert finding.status == "could not run"
    assert "same type" in finding.observed


def test_rows_are_sampled_openly_above_a_size(warehouse, monkeypatch):
    assert findings(warehouse, "candidates_content")["known_status"].rows_judged == 8
    monkeypatch.setattr(gates, "SAMPLE_ROWS", 5)
    found = findings(warehouse, "candidates_content")["known_status"]
    assert (found.rows, found.rows_judged, found.status) == (8, 5, "passed")
    assert "using sample" in found.sql


def test_findings_never_hold_values_of_rows(warehouse):
    change(warehouse, "update flywheel.candidates set status = 'jo@example.org'")
    for finding in findings(warehouse, "candidates_content").values():
        assert "jo@example.org" not in f"{finding.observed} {finding.sql}"


# --- the suites themselves -------------------------------------------------------------------------------------------


def test_every_suite_runs_on_empty_tables_of_the_declared_columns(tmp_path):
    """Columns that suites name exist, in the tables that Python writes and in the contracts of the marts."""
    warehouse = DuckDBWarehouse(tmp_path / "empty.duckdb")
    with warehouse.connect() as connection:
        connection.execute("create schema marts")
        for path in MARTS.glob("*.yml"):
            for model in yaml.safe_load(path.read_text(encoding="utf-8"))["models"]:
                columns = ", ".join(f"{column['name']} {column['data_type']}" for column in model["columns"])
                connection.execute(f"create table marts.{model['name']} ({columns})")
    for found in read_suites(["content"]):
        statuses = {f.expectation.name: (f.status, f.observed) for f in judged(warehouse, found, TURN, UNTIL)}
        assert not [name for name, (status, _) in statuses.items() if status == "could not run"], statuses
        failed = {name for name, (status, _) in statuses.items() if status == "failed"}
        assert failed <= {"has_subjects", "has_events", "has_exposures"}


def test_the_candidates_suite_knows_every_status():
    (known,) = (e for e in suite("candidates_content").expectations if e.name == "known_status")
    assert set(known.kwargs["value_set"]) == set(STATUSES)


MARTS_ROWS = """
    create schema if not exists marts;
    create or replace table marts.momentum as
        select date '2026-01-05' as turn, 'content' as loop, 900 as holdout_units, {lift} as lift, {low} as lift_low,
               0.11 as lift_high, {treated}::double as treated_rate, null as no_lift_reason;
    create or replace table marts.sample_ratios as
        select date '2026-01-05' as turn, 0 as unexpected_units, {chi}::double as chi_square, 2 as degrees_of_freedom,
               40.0 as least_expected_units from range(3);
"""


def test_a_mart_that_contradicts_itself_is_caught(warehouse):
    change(warehouse, MARTS_ROWS.format(lift=0.08, treated=0.4, low=0.05, chi=2.0))
    assert not_passed(warehouse, "momentum") == not_passed(warehouse, "sample_ratios") == {}
    change(warehouse, MARTS_ROWS.format(lift=0.08, treated=0.4, low=0.09, chi=60.0))
    assert not_passed(warehouse, "momentum") == {"lifts_in_their_intervals": "failed"}
    assert not_passed(warehouse, "sample_ratios") == {"no_subject_apart": "failed"}


def test_a_flywheel_that_costs_more_than_it_earns_is_told_and_not_refused(warehouse):
    """A weighted reward may be negative. Its lift is then below -100 %, which only a rate below zero explains."""
    change(warehouse, MARTS_ROWS.format(lift=-3, treated=-0.2, low=-4, chi=2.0))
    assert not_passed(warehouse, "momentum") == {}
    change(warehouse, MARTS_ROWS.format(lift=-3, treated=0.2, low=-4, chi=2.0))
    assert not_passed(warehouse, "momentum") == {"lifts_possible": "failed"}
    change(
        warehouse,
        """
        create or replace table marts.variant_readouts as
            select date '2026-01-05' as turn, loop, 's' as subject_id, 'v' as variant_id, 0.5 as share, 9 as units,
                   9 as exposures, 0 as excluded_units, -4.0 as reward, -0.4 as rate, -0.5 as rate_low,
                   -0.3 as rate_high
            from (values ('costly'), ('content')) as of_loops(loop);
        delete from flywheel.outcome_definitions;
        insert into flywheel.outcome_definitions (loop, outcome, weight) values ('costly', 'left', -2.0);
        """,
    )
    assert not_passed(warehouse, "variant_readouts").get("nothing_negative") == "failed"
    change(warehouse, "delete from marts.variant_readouts where loop = 'content'")
    assert "nothing_negative" not in not_passed(warehouse, "variant_readouts")


PAGE: dict = {
    "name": "small", "asset": "{loop}/subjects", "table": "flywheel.subjects", "profile": {"bad": "count(*)"},
    "expectations": [{
        "type": "expect_column_values_to_be_between", "kwargs": {"column": "bad", "max_value": 0},
        "severity": "critical", "meta": {"name": "none_bad", "on": "profile", "why": "w.", "remedy": "Mend it."},
    }],
}  # fmt: skip


def written(folder: Path, **changed: object) -> Path:
    (folder / "small.json").write_text(json.dumps(PAGE | changed), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"profiles": {}}, r"unknown \['profiles'\]"),
        ({"profile": {}}, r"the profile has no \['bad'\]"),
        ({"asset": "{kind}/subjects"}, r"nothing fills \['kind'\]"),
        ({"expectations": PAGE["expectations"] * 2}, "twice"),
        ({"expectations": [{**PAGE["expectations"][0], "severity": "fatal"}]}, "`severity` is one of"),
        ({"expectations": [{**PAGE["expectations"][0], "meta": {"name": "x"}}]}, r"lacks \['on', 'remedy', 'why'\]"),
    ],
)
def test_a_suite_of_the_wrong_form_is_refused_with_the_file_and_the_fault(tmp_path, changed, said):
    with pytest.raises(ValueError, match=said) as refused:
        read_suites(["content"], written(tmp_path, **changed))
    assert "small.json" in str(refused.value)


# --- in Dagster ------------------------------------------------------------------------------------------------------


def turned(warehouse: DuckDBWarehouse, folder: Path) -> dg.ExecuteInProcessResult:
    """One run over subjects, their gate, and what comes after."""
    partitions = turn_partitions(Settings(_env_file=None))

    @dg.asset(key=["content", "subjects"], partitions_def=partitions)
    def subjects() -> None: ...

    @dg.asset(key=["content", "briefs"], deps=[subjects], partitions_def=partitions)
    def briefs() -> None: ...

    defs = dg.Definitions(
        assets=[subjects, briefs],
        asset_checks=build_checks([content()], partitions, folder),  # type: ignore[list-item]
        resources={"warehouse": warehouse},
        jobs=[dg.define_asset_job("all_of_it", dg.AssetSelection.all())],
    )
    return defs.resolve_job_def("all_of_it").execute_in_process(
        partition_key=TURN, raise_on_error=False, instance=dg.DagsterInstance.ephemeral()
    )


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}


def test_a_failed_critical_expectation_stops_what_comes_after_and_shows_why(warehouse, tmp_path):
    result = turned(warehouse, written(tmp_path))
    (evaluation,) = result.get_asset_check_evaluations()
    assert not result.success
    assert materialized(result) == {"subjects"}
    assert (evaluation.passed, evaluation.severity, evaluation.partition) == (False, dg.AssetCheckSeverity.ERROR, TURN)
    shown = {name: value.value for name, value in evaluation.metadata.items()}
    assert shown["status"] == "failed"
    assert shown["observed"] == "bad = 4"
    assert shown["why"] == "w."
    assert shown["remedy"] == "Mend it."
    assert "flywheel.subjects" in shown["sql"]


def test_a_failed_warning_stops_nothing(warehouse, tmp_path):
    expectation = {**PAGE["expectations"][0], "severity": "warning"}
    result = turned(warehouse, written(tmp_path, expectations=[expectation]))
    (evaluation,) = result.get_asset_check_evaluations()
    assert result.success
    assert materialized(result) == {"subjects", "briefs"}
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_a_critical_expectation_that_could_not_run_stops_what_comes_after(warehouse, tmp_path):
    result = turned(warehouse, written(tmp_path, profile={"bad": "count(no_such_column)"}))
    (evaluation,) = result.get_asset_check_evaluations()
    assert materialized(result) == {"subjects"}
    assert evaluation.metadata["status"].value == "could not run"
    assert "no_such_column" in evaluation.metadata["observed"].value


def test_every_check_of_the_project_belongs_to_its_asset_and_critical_ones_block():
    checks = build_checks([content()], turn_partitions(Settings(_env_file=None)))
    specs = [spec for check in checks for spec in check.check_specs]
    assert len({spec.key for spec in specs}) == len(specs) > 60
    severities = {spec.metadata["severity"]: spec.blocking for spec in specs}
    assert severities == {"critical": True, "warning": False, "info": False}
    partitioned = {spec.asset_key.path[0] for spec in specs if spec.partitions_def is None}
    assert partitioned == {"landing"}


def test_a_gate_costs_far_less_than_half_a_second_once_loaded(warehouse):
    judged(warehouse, suite("events"), TURN, UNTIL)
    for name in SOUND:
        started = time.process_time()
        judged(warehouse, suite(name), TURN, UNTIL)
        assert time.process_time() - started < 0.5, name
