"""Customers under pseudonyms everywhere, answered under their own name, and forgotten when they ask, as examples."""

import json
import stat
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from orchestration.assignment import holdout_salt, point
from orchestration.cli import app
from orchestration.delivery import PerUnit
from orchestration.landing.addressees import Addressees
from orchestration.landing.outbox import Outbox
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.loops.declaration import Loop, Subjects
from orchestration.loops.lives import each_turn
from orchestration.testing.landed_events import FIRST, LOOP, Shop, as_ndjson, event

PEOPLE = replace(
    LOOP,
    name="personalization",
    subjects=Subjects(
        key="customer",
        facts=("customer", "tier"),
        original="letter",
        pool="tier",
        personal=("customer",),
        lives=each_turn(),
    ),
    delivery=PerUnit(unit="customer"),
)
LOOPS: dict[str, Loop] = {LOOP.name: LOOP, PEOPLE.name: PEOPLE}
NAMES = ("jane.secret@example.org", "customer-000777-ünder", "=ana'); drop table--")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path / "home").release(FIRST)
    rows = [{"customer": name, "tier": "gold", "letter": f"Letter {at}"} for at, name in enumerate(NAMES)]
    shop.landing.write("subjects", PEOPLE.name, rows, "customers")
    shop.landing.ingest_subjects(PEOPLE, run_id="run", progress=lambda _: None)
    with shop.warehouse.connect() as connection:
        for name in NAMES:
            connection.execute(
                "insert into flywheel.decisions (turn, loop, decision_id, subject_id, variant_id) "
                "values (?, 'personalization', ?, ?, ?)",
                [FIRST, f"d-{pseudonym(shop, name)}", pseudonym(shop, name), f"v-{pseudonym(shop, name)}"],
            )
    return shop


def pseudonym(shop: Shop, name: str) -> str:
    return Pseudonyms.of(shop.settings).pseudonym(name)


def met(shop: Shop, number: int, name: str, **other: Any) -> dict[str, Any]:
    variant = f"v-{pseudonym(shop, name)}"
    return event(number, loop=PEOPLE.name, subject_id=name, unit_id=name, variant_id=variant) | other


def ingest(shop: Shop, rows: list[dict[str, Any]], name: str = "events.ndjson") -> dict[str, int]:
    path = shop.events_folder / name
    if path.suffix == ".ndjson":
        path.write_bytes(as_ndjson(rows))
    else:
        frame = pl.DataFrame(rows, infer_schema_length=None)
        frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    (report,) = shop.landing.ingest_events(loops=LOOPS, run_id="run", progress=lambda _: None)
    return {"accepted": report.accepted, **report.reasons}


def addressees(shop: Shop) -> Addressees:
    return Addressees(shop.settings.addressees_path)


@pytest.mark.parametrize("suffix", ["ndjson", "csv", "parquet"])
def test_an_event_about_a_customer_is_joined_and_stored_under_the_pseudonym(shop: Shop, suffix: str) -> None:
    rows = [*(met(shop, number, name) for number, name in enumerate(NAMES, 1)), event(7)]

    assert ingest(shop, rows, f"events.{suffix}") == {"accepted": 4}

    stored = shop.warehouse.read("select loop, subject_id, unit_id from flywheel.events order by event_id")
    names = [pseudonym(shop, name) for name in NAMES]
    assert stored["subject_id"].to_list() == [*names, "s7"]
    assert stored["unit_id"].to_list()[:3] == names


def test_events_about_decisions_are_refused_for_the_same_reasons_as_those_about_releases(shop: Shop) -> None:
    jane, other, _ = NAMES
    rows = [
        met(shop, 1, jane, variant_id="unheard of"),
        met(shop, 2, jane, variant_id=f"v-{pseudonym(shop, other)}"),
        met(shop, 3, "a stranger", variant_id="unheard of"),
        met(shop, 4, ""),
        met(shop, 5, "x" * 300),
        met(shop, 6, jane, event_type="click", variant_id=None),
    ]

    assert ingest(shop, rows) == {
        "accepted": 1,
        "missing_subject_id": 1,
        "too_long": 1,
        "unknown_subject": 1,
        "unknown_variant": 1,
        "variant_of_another_subject": 1,
    }


def test_no_hash_without_the_key_tells_who_is_in_the_warehouse(shop: Shop) -> None:
    """The point of the holdout is taken of the pseudonym: whoever knows an identifier could find it by trying."""
    points = shop.warehouse.read("select subject_id, holdout_point from flywheel.landed_subjects")

    assert dict(points.iter_rows()) == {
        pseudonym(shop, name): point(holdout_salt(PEOPLE.name), pseudonym(shop, name)) for name in NAMES
    }


def test_only_the_outbox_says_whom_to_answer(shop: Shop) -> None:
    items = [{"subject_id": pseudonym(shop, name), "text": f"Dear {at}"} for at, name in enumerate(NAMES)]
    outbox = Outbox(shop.settings.outbox, addressees(shop))

    file = outbox.write(PEOPLE.name, FIRST, items, to_addressees=True)

    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert written == [{"subject_id": name, "text": f"Dear {at}"} for at, name in enumerate(NAMES)]
    assert items[0]["subject_id"] == pseudonym(shop, NAMES[0])
    with pytest.raises(ValueError, match="give the outbox the home's addressees"):
        Outbox(shop.settings.outbox).write(PEOPLE.name, FIRST, items, to_addressees=True)


def test_no_identifier_is_kept_anywhere_but_in_the_private_file(shop: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    (shop.events_folder / "e.ndjson").write_bytes(as_ndjson([met(shop, at, name) for at, name in enumerate(NAMES, 1)]))
    shop.landing.ingest_events(loops=LOOPS, run_id="run", progress=told.append)
    private = shop.settings.addressees_path
    outside = (shop.settings.landing, shop.settings.outbox)

    kept = [
        file
        for file in shop.home.rglob("*")
        if file.is_file() and file != private and not any(folder in file.parents for folder in outside)
    ]

    assert shop.settings.warehouse_path in kept
    said = "".join([*told, *capfd.readouterr()])
    for name in NAMES:
        assert name.encode() in private.read_bytes()
        assert [file.name for file in kept if name.encode() in file.read_bytes()] == []
        assert name not in said
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert not list(shop.home.glob("addressees.sqlite-*"))


def test_landing_again_remembers_nobody_twice(shop: Shop) -> None:
    before = addressees(shop).identifiers([pseudonym(shop, name) for name in NAMES])
    new = {"customer": "late", "tier": "gold", "letter": "Letter"}
    rows = [{"customer": name, "tier": "silver", "letter": "Letter"} for name in NAMES]
    shop.landing.write("subjects", PEOPLE.name, [*rows, new, {"customer": "refused", "tier": "", "letter": ""}], "b")

    shop.landing.ingest_subjects(PEOPLE, run_id="run", progress=lambda _: None)

    names = [*NAMES, "late", "refused"]
    assert before == {pseudonym(shop, name): name for name in NAMES}
    assert addressees(shop).identifiers([pseudonym(shop, name) for name in names]) == before | {
        pseudonym(shop, "late"): "late"
    }


def test_who_is_forgotten_is_gone_from_the_file_and_is_not_brought_back(shop: Shop) -> None:
    jane, *others = NAMES
    whom = addressees(shop)

    assert whom.forget(jane)
    assert not whom.forget(jane)
    assert not whom.forget("never heard of")
    rows = [{"customer": name, "tier": "new", "letter": "Letter"} for name in NAMES]
    shop.landing.write("subjects", PEOPLE.name, rows, "again")
    shop.landing.ingest_subjects(PEOPLE, run_id="run", progress=lambda _: None)

    assert jane.encode() not in shop.settings.addressees_path.read_bytes()
    items = [{"subject_id": pseudonym(shop, name)} for name in NAMES]
    assert [item["subject_id"] for item in whom.addressed(items)] == others


def test_a_person_is_forgotten_by_a_command_that_repeats_no_identifier(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(shop.home))

    first, again = (CliRunner().invoke(app, ["forget"], input=f"{NAMES[0]}\n") for _ in range(2))

    assert "Forgotten" in first.output
    assert "Nobody of that identifier" in again.output
    assert NAMES[0] not in first.output + again.output
    assert list(addressees(shop).identifiers([pseudonym(shop, NAMES[0])])) == []


def test_a_home_without_personal_keys_has_no_such_file(tmp_path: Path) -> None:
    shop = Shop(tmp_path, now=datetime(2026, 1, 4)).release(FIRST)
    row = {"product_id": "p", "brand": "b", "size": "s", "description": "d", "category": "c"}
    shop.landing.write("subjects", "content", [row], "a")
    shop.landing.ingest_subjects(LOOP, run_id="run", progress=lambda _: None)

    assert addressees(shop).identifiers(["p"]) == {}
    assert not addressees(shop).forget("p")
    assert not shop.settings.addressees_path.exists()
