"""Applications as they are: they cache what they serve, their hours go wrong, and one visitor may be a robot."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.commands import excluding
from orchestration.commands.lineage import leaves, trace
from orchestration.delivery import SharedTraffic
from orchestration.delivery.protocol import When
from orchestration.delivery.shared_traffic import switched_at
from orchestration.graph.assets.kpis import _outcomes
from orchestration.graph.backfills import LAST_ARRIVAL, touched_turns
from orchestration.loops.declaration import Outcome, hours
from orchestration.testing.landed_events import FIRST, LOOP, LOOPS, SECOND, Shop, event
from orchestration.warehouse.suites import read_suites
from tests.turn_facts import CLICK, NEXT, TURN, TurnFacts

HALVES = {"original": 0.5, "playful": 0.5}


def land(shop: Shop, *rows: Mapping[str, Any], name: str = "a") -> dict[str, int]:
    """Refused rows of a file by reason."""
    shop.landing.write("events", None, rows, name)
    (report,) = shop.landing.ingest_events(loops=LOOPS, run_id="run", progress=lambda _: None)
    return dict(report.reasons)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Two turns; what the first one released is s0-v0 to s0-v3, and the second one lacks s0-v3. Grace until 3 h."""
    shop = Shop(tmp_path).release(FIRST, SECOND, subjects=2)
    with shop.warehouse.connect() as connection:
        connection.execute("update flywheel.releases set release_id = release_id || ' of ' || turn")
        connection.execute(f"delete from flywheel.releases where turn = '{SECOND}' and variant_id = 's0-v3'")
        connection.execute("update flywheel.releases set graced_until = turn + interval 3 hour")
    return shop


def met(number: int, at: str, **other: Any) -> dict[str, Any]:
    known = {"event_type": "exposure", "subject_id": "s0", "variant_id": "s0-v3", "occurred_at": at, "value": None}
    return event(number, **{**known, **other})


def test_an_exposure_is_taken_in_for_the_release_that_it_says_was_served(shop: Shop) -> None:
    served = {"release_id": f"r0 of {FIRST}"}
    rows = [
        met(1, f"{SECOND}T12:00:00Z", **served),
        met(2, f"{SECOND}T12:00:00Z"),
        met(3, f"{SECOND}T13:00:00Z", event_type="click", **served),
        met(4, "2026-01-11T23:59:00Z", variant_id="s0-v1", release_id=f"r0 of {SECOND}"),
    ]
    assert land(shop, *rows) == {"unknown_variant": 1}
    kept = shop.warehouse.read("select event_id, release_id, turn::varchar from flywheel.events order by event_id")
    assert kept.rows() == [
        (rows[0]["event_id"], f"r0 of {FIRST}", SECOND),
        (rows[2]["event_id"], f"r0 of {FIRST}", SECOND),
        (rows[3]["event_id"], f"r0 of {SECOND}", FIRST),
    ]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"release_id": "unheard of"}, "unknown_release"),
        ({"release_id": f"r1 of {FIRST}"}, "release_of_another_subject"),
        ({"release_id": f"r0 of {SECOND}"}, "variant_not_in_release"),
        ({"release_id": f"r0 of {SECOND}", "event_type": "click"}, "variant_not_in_release"),
        ({"release_id": "unheard of", "event_type": "click", "variant_id": None}, "unknown_release"),
        ({"release_id": "of support"}, "release_of_another_loop"),
        ({"release_id": "r" * 201}, "too_long"),
        ({"release_id": 17.5}, "wrong_type"),
        ({"decision_id": "unheard of"}, "unknown_release"),
    ],
)
def test_a_release_that_cannot_have_been_served_is_refused_by_name(
    shop: Shop, wrong: dict[str, Any], reason: str
) -> None:
    with shop.warehouse.connect() as connection:
        connection.execute(
            f"insert into flywheel.releases by name select '{FIRST}'::date as turn, 'support' as loop, "
            "'of support' as release_id, 's0' as subject_id, 's0-v3' as variant_id"
        )
    assert land(shop, met(1, f"{FIRST}T12:00:00Z", **wrong)) == {reason: 1}


def test_a_release_can_be_served_for_two_weeks_after_its_turn_and_no_longer(shop: Shop) -> None:
    served = {"release_id": f"r0 of {FIRST}"}
    assert land(shop, met(1, "2026-01-25T23:00:00Z", **served)) == {}
    later = Shop(shop.home, now=datetime(2026, 2, 3))
    assert land(later, met(2, "2026-01-27T01:00:00Z", **served), name="b") == {"unknown_release": 1}


def test_without_a_release_id_a_variant_of_the_release_before_is_taken_in_within_the_grace(shop: Shop) -> None:
    rows = [met(1, f"{SECOND}T02:59:00Z"), met(2, f"{SECOND}T03:00:00Z")]
    assert land(shop, *rows) == {"unknown_variant": 1}


def test_the_same_event_again_with_its_release_is_a_repeat_and_with_another_one_is_not(shop: Shop) -> None:
    row = met(1, f"{FIRST}T12:00:00Z", variant_id="s0-v1")
    assert land(shop, row) == {}
    told = [{**row, "release_id": f"r0 of {turn}"} for turn in (FIRST, SECOND)]
    shop.landing.write("events", None, told[:1], "b")
    (report,) = shop.landing.ingest_events(loops=LOOPS, run_id="run", progress=lambda _: None)
    assert (report.duplicates, report.quarantined) == (1, 0)
    both = [{**each, "event_id": "twice"} for each in told]
    assert land(shop, *both, name="c") == {"event_id_reused": 1}


def test_the_switch_is_the_start_of_a_turn_or_when_it_was_released_in_it() -> None:
    start = datetime(2026, 1, 5)
    for now, at in {
        start - timedelta(hours=5): start,
        start + timedelta(hours=30): start + timedelta(hours=30),
        start + timedelta(days=300): start,
    }.items():
        assert switched_at(When(turn=TURN, days=7, seed=1), now) == at
    with pytest.raises(ValueError, match=r"hours\(3\)"):
        SharedTraffic(unit="visitor", grace=hours(-1))


@pytest.fixture(scope="module")
def kpis(tmp_path_factory: pytest.TempPathFactory) -> TurnFacts:
    """Two turns of one subject, of which each drops a variant of the other; applications switch late.

    Subject `s2` was released in the first turn only.
    """
    facts = TurnFacts(tmp_path_factory.mktemp("kpis"))
    facts.release("s1", {"original": 0.5, "playful": 0.3, "plain": 0.2}, graced_until=None)
    facts.release("s1", {"original": 0.4, "playful": 0.5, "bold": 0.1}, turn=NEXT, graced_until=f"{NEXT} 03:00")
    facts.release("s2", HALVES)
    old, new = f"s1 in {TURN}", f"s1 in {NEXT}"
    for number in range(30):  # a turn of its own, so that neither is empty
        variant = ("original", "playful", "plain")[number % 3]
        facts.event("exposure", f"a{number}", "s1", "2026-01-06 09:00", variant_id=variant)
        facts.event("exposure", f"h{number}", "s1", "2026-01-06 09:00", variant_id="original", in_holdout=True)
        facts.event("exposure", f"b{number}", "s1", "2026-01-13 09:00", variant_id="bold", turn=NEXT, release_id=new)
    told = {"turn": NEXT, "release_id": old}
    facts.event("exposure", "ann", "s1", "2026-01-12 11:00", variant_id="plain", **told)
    facts.event("exposure", "bob", "s1", "2026-01-12 11:00", variant_id="original", **told)
    facts.event("click", "ann", "s1", "2026-01-12 11:05", turn=NEXT)
    facts.event("click", "bob", "s1", "2026-01-12 11:05", **told)
    facts.event("exposure", "bob", "s1", "2026-01-12 12:00", variant_id="playful", turn=NEXT, release_id=new)
    facts.event("exposure", "cyd", "s1", "2026-01-12 02:00", variant_id="plain", turn=NEXT)
    facts.event("exposure", "dan", "s1", "2026-01-12 02:00", variant_id="original", turn=NEXT)
    facts.event("exposure", "eve", "s1", "2026-01-12 02:00", variant_id="bold", turn=NEXT)
    facts.event("exposure", "fay", "s1", "2026-01-12 03:00", variant_id="playful", turn=NEXT)
    facts.event("exposure", "gus", "s2", "2026-01-12 01:00", variant_id="playful", turn=NEXT)
    facts.event("exposure", "hal", "s1", "2026-01-07 10:30", variant_id="plain")
    facts.event("click", "a1", "s1", "2026-01-06 09:30")
    facts.event("click", "a4", "s1", "2026-01-06 10:30")
    for number, (start, end) in enumerate((("2026-01-07 10:00", "2026-01-07 11:00"), ("2026-01-06 10:00", None))):
        facts.insert(
            "exclusions",
            exclusion_id=f"x{number}",
            excluded_from=start,
            excluded_until=end or "2026-01-06 11:00",
            reason="tracking was down",
            ingested_at="2026-02-01 00:00",
        )
    facts.gather(TURN, NEXT)
    facts.build(TURN, NEXT)
    return facts


def exposure_of(facts: TurnFacts, unit: str) -> list[tuple[Any, ...]]:
    return facts.warehouse.read(
        "select turn::varchar, release_id, variant_id, propensity, met_in::varchar, left_out from flywheel.exposures "
        "where unit_id = $unit_id order by occurred_at",
        {"unit_id": unit},
    ).rows()


def test_an_exposure_is_booked_to_the_release_served_at_its_share_and_so_is_what_follows(kpis: TurnFacts) -> None:
    assert exposure_of(kpis, "ann") == [(TURN, f"s1 in {TURN}", "plain", 0.2, NEXT, None)]
    assert exposure_of(kpis, "bob") == [
        (TURN, f"s1 in {TURN}", "original", 0.5, NEXT, None),
        (NEXT, f"s1 in {NEXT}", "playful", 0.5, None, None),
    ]
    clicks = {
        (str(row["turn"]), row["variant_id"]): row["converted"]
        for row in kpis.mart("variant_outcomes", outcome="click", subject_id="s1")
        if row["converted"]
    }
    # bob's click names the release of the first turn, so that what he met afterwards does not share in it
    assert clicks == {(TURN, "plain"): 1, (TURN, "original"): 1, (TURN, "playful"): 1}


def test_what_may_be_of_either_release_is_kept_and_counts_nowhere_whatever_its_variant(kpis: TurnFacts) -> None:
    assert exposure_of(kpis, "cyd") == [(TURN, f"s1 in {TURN}", "plain", 0.2, NEXT, "grace")]
    assert exposure_of(kpis, "dan") == [(NEXT, f"s1 in {NEXT}", "original", 0.4, None, "grace")]
    assert exposure_of(kpis, "eve") == [(NEXT, f"s1 in {NEXT}", "bold", 0.1, None, "grace")]
    assert exposure_of(kpis, "fay") == [(NEXT, f"s1 in {NEXT}", "playful", 0.5, None, None)]
    assert exposure_of(kpis, "gus") == [(TURN, "s2 in 2026-01-05", "playful", 0.5, NEXT, None)], "nothing is newer"
    units = {(str(row["turn"]), row["variant_id"]): row["units"] for row in kpis.mart("variant_readouts")}
    assert units[TURN, "plain"] == 11  # ten and ann: not cyd, nor hal
    assert units[NEXT, "original"] == 0
    assert units[NEXT, "bold"] == 30
    assert "1 without a release_id" in "\n".join(excluding.excluded_lines(kpis.warehouse))


def test_the_gate_compares_units_with_the_shares_they_were_served_at_and_misses_nothing(kpis: TurnFacts) -> None:
    (gate,) = [suite for suite in read_suites(["content"]) if suite.name == "exposures"]
    for turn in (TURN, NEXT):
        for promise in ("from_nowhere", "dropped", "unreleased", "wrong_propensity", "treated_in_holdout"):
            sql = f"select {gate.profile[promise]} as found from {gate.relation} where {gate.where}"
            assert kpis.warehouse.read(sql.replace("$turn", f"date '{turn}'")).item() == 0, (turn, promise)
    counted = kpis.warehouse.read(gate.statistics["sample_ratio_p"].sql, {"turn": TURN})
    assert counted.filter(subject_id="s1").select("units", "share").rows() == [(10, 0.3), (11, 0.2), (11, 0.5)]


def test_excluded_hours_count_in_no_figure_and_everything_else_stays(kpis: TurnFacts) -> None:
    assert exposure_of(kpis, "hal") == [(TURN, f"s1 in {TURN}", "plain", 0.2, None, "x0")]
    outcomes = kpis.warehouse.read("select unit_id, left_out from flywheel.outcomes order by occurred_at, unit_id")
    assert outcomes.rows() == [("a1", None), ("a4", "x1"), ("ann", None), ("bob", None)]


def test_late_events_and_changed_hours_have_the_turns_they_touch_learned_again(kpis: TurnFacts) -> None:
    for turn in (TURN, NEXT):
        kpis.insert("promotions", turn=turn, record=0, decided_at="2026-01-20 00:00", promoted=False)
    kpis.flush()
    assert kpis.warehouse.read(LAST_ARRIVAL).item() == datetime(2026, 2, 1)
    since = "2026-01-25 00:00:00"
    assert touched_turns(kpis.warehouse, since, "2026-02-01 00:00:00") == [TURN]
    kpis.insert(
        "events", turn=NEXT, event_id="late", event_type="exposure", subject_id="s1", unit_id="late",
        variant_id="plain", release_id=f"s1 in {TURN}", occurred_at=f"{NEXT} 10:00", ingested_at="2026-02-02 00:00",
        simulated=False, in_holdout=False,
    )  # fmt: skip
    kpis.flush()
    assert touched_turns(kpis.warehouse, "2026-02-01 00:00:00", "2026-02-02 00:00:00") == [TURN, NEXT]


def excluded(*words: str) -> str:
    result = CliRunner().invoke(app, ["exclude", *words])
    assert not result.exception or isinstance(result.exception, SystemExit), result.exception
    return f"{result.exit_code} {result.output}"


def test_hours_are_excluded_once_shown_and_taken_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(shop.home))
    monkeypatch.setenv("FLYWHEEL_LOOPS", "content")
    land(shop, met(1, f"{FIRST}T12:00:00Z"), met(2, f"{FIRST}T14:00:00Z", event_type="click"))
    span = ("--from", f"{FIRST}T12:00", "--to", f"{FIRST}T14:00+00:00")

    assert f"turn {FIRST}: 1 exposures, 0 outcomes" in excluded(*span, "--dry-run")
    assert excluding.excluded_lines(shop.warehouse) == []
    first, again = (excluded(*span, "--reason", "an outage") for _ in range(2))
    assert f"flywheel turn {FIRST} --learn" in first
    assert "was there before; nothing changed" in again
    (line,) = excluding.excluded_lines(shop.warehouse)
    assert f"excluded: {FIRST} 12:00 to {FIRST} 14:00 UTC of content: an outage" in line
    known = line.split("--undo ")[1].removesuffix("`]")
    assert f"exclusion {known}" in leaves(trace(shop.warehouse, known[:12]))

    assert "count again" in excluded("--undo", known[:12])
    assert "was taken back before" in excluded("--undo", known)
    assert excluding.excluded_lines(shop.warehouse) == []
    assert shop.warehouse.read("select count(*) from flywheel.exclusions").item() == 2, "rows are only ever added"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from", "yesterday", "--to", "2026-01-05T14:00", "--reason", "x"), "is no moment"),
        (("--from", "2026-01-05T14:00", "--to", "2026-01-05T14:00", "--reason", "x"), "must be later"),
        (("--from", "2026-01-05T14:00"), "--from and --to"),
        (("--from", "2026-01-05T14:00", "--to", "2026-01-05T15:00"), "give --reason"),
        (("--from", "2026-01-05T14:00", "--to", "2026-01-05T15:00", "--reason", "x", "--loop", "nix"), "no loop 'nix'"),
        (("--undo", "nothing"), "No exclusion is known"),
        (("--undo", "nothing", "--dry-run"), "give nothing else"),
    ],
)
def test_a_span_that_is_none_is_one_sentence(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(shop.home))
    said = excluded(*words)
    assert said.startswith("1 ")
    assert told in " ".join(said.split())


def test_landed_exclusions_that_cannot_be_obeyed_are_quarantined_by_name(shop: Shop) -> None:
    good = {
        "excluded_from": "2026-01-05T10:00:00Z", "excluded_until": "2026-01-05T11:00:00Z", "reason": "x",
        "excluded_by": "jane", "excluded_at": "2026-01-06T10:00:00Z",
    }  # fmt: skip
    wrong: dict[str, dict[str, Any]] = {
        "missing_excluded_from": {"excluded_from": None},
        "ends_before_it_starts": {"excluded_until": "2026-01-05T09:00:00Z"},
        "unknown_exclusion": {"undoes": "nothing"},
        "bad_timestamp": {"excluded_from": "soon"},
        "future_timestamp": {"excluded_at": "2036-01-06T10:00:00Z"},
        "missing_reason": {"reason": " "},
    }
    shop.landing.write("exclusions", "content", [good, good, *({**good, **each} for each in wrong.values())], "a")
    (report,) = shop.landing.ingest_exclusions(LOOP, run_id="run", progress=lambda _: None)
    assert (report.accepted, report.duplicates, report.quarantined) == (1, 1, len(wrong))
    assert report.reasons == dict.fromkeys(wrong, 1)
    assert shop.landing.strays(["content"]) == {}


PAID = ("purchase", 7 * 86_400, True, False, True)


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> TurnFacts:
    """Three loops of one audience: `calm`, `clicked` with a robot in its holdout, `paid` with a purchase of 1e6."""
    facts = TurnFacts(tmp_path_factory.mktemp("loud"))
    for loop in ("calm", "clicked", "rich", "paid"):
        facts.loop = loop
        facts.declare(*((PAID,) if loop in ("rich", "paid") else (CLICK,)))
        if loop in ("rich", "paid"):
            with facts.warehouse.connect() as connection:
                connection.execute("update flywheel.outcome_definitions set cut_at = 0.99 where outcome = 'purchase'")
        for subject in range(12):
            facts.release(f"s{subject}", HALVES)
        for number in range(1_200):
            unit, subject, held = f"u{number}", f"s{number % 12}", number % 10 == 0
            variant = "original" if held or number % 3 == 0 else "playful"
            facts.expose(unit, subject, variant, "2026-01-06 09:00", in_holdout=held)
            if number % 7 == 0 or (variant == "playful" and number % 11 == 0):
                name, value = ("purchase", 10.0 + number % 13) if loop in ("rich", "paid") else ("click", None)
                facts.outcome(unit, subject, name, "2026-01-06 10:00", value=value)
    facts.loop = "clicked"
    for subject in range(12):
        facts.expose("robot", f"s{subject}", "original", "2026-01-06 09:00", in_holdout=True)
        for second in range(60):
            facts.outcome("robot", f"s{subject}", "click", f"2026-01-06 11:00:{second:02d}")
    facts.loop = "paid"
    facts.outcome("u0", "s0", "purchase", "2026-01-06 12:00", value=1e6)
    facts.outcome("u13", "s1", "purchase", "2026-01-06 12:00", value=900.0)
    facts.build()
    return facts


@pytest.mark.parametrize(("calm", "loud"), [("calm", "clicked"), ("rich", "paid")])
def test_one_loud_unit_moves_the_lift_by_less_than_a_tenth_of_its_interval(
    shops: TurnFacts, calm: str, loud: str
) -> None:
    before, after = (shops.only("momentum", loop=loop) for loop in (calm, loud))
    assert before["lift_high"] - before["lift_low"] > 0
    assert abs(after["lift"] - before["lift"]) < 0.1 * (before["lift_high"] - before["lift_low"])


def test_loud_units_are_listed_with_what_they_did_and_what_people_reach(shops: TurnFacts) -> None:
    rows = shops.mart("loud_units", loop="clicked")
    assert [(row["unit_id"], row["measure"], row["number"], row["left_out"]) for row in rows] == [
        ("robot", "outcomes of a kind", 720.0, True),
        ("robot", "subjects with an outcome", 12.0, True),
    ]
    amounts = {row["unit_id"]: row for row in shops.mart("loud_units", loop="paid")}
    assert (amounts["u0"]["number"], amounts["u0"]["bound"], amounts["u0"]["left_out"]) == (1_000_010.0, 1_100.0, True)
    assert shops.mart("loud_units", loop="calm") == []
    assert (amounts["u13"]["number"], amounts["u13"]["bound"], amounts["u13"]["left_out"]) == (900.0, 22.0, False)
    revenue = sum(row["value"] for row in shops.mart("turn_kpis", loop="paid", outcome="purchase"))
    assert revenue > shops.only("momentum", loop="paid")["treated_reward"], "what was paid stays: only rewards are cut"


def test_a_percentile_at_which_amounts_are_cut_is_declared_and_checked() -> None:
    declared = Outcome("purchase", within=hours(24), has_value=True, cut_at=0.95)
    loop = replace(LOOP, outcomes=(*LOOP.outcomes[:1], declared))
    assert [row["cut_at"] for row in _outcomes(loop)] == [None, 0.95]
    with pytest.raises(ValueError, match="percentile"):
        Outcome("purchase", within=hours(24), cut_at=0.2)
