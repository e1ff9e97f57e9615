"""Catalogues of other trades than the demo's: what their files bring reaches the model, the guards and the outbox."""

import json
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.flywheel_file import as_declared, read
from orchestration.generation.calls import Request
from orchestration.guards import Draft, grounded, on_topic
from orchestration.guards.in_force import is_text
from orchestration.guards.prices import prices
from orchestration.loops.as_landed import lends_a_fact
from orchestration.loops.content import declare
from orchestration.loops.declaration import Loop
from orchestration.loops.recipes import Example, Recipe, Recipes
from orchestration.testing.scripted_model import ScriptedModel
from orchestration.testing.shop import catalogue
from orchestration.testing.turning import Turner, TurningLoops, key_of_turn

DATA = Path(__file__).parent / "data" / "trades"
FILES = {"fashion": "fashion.csv", "software": "software.ndjson", "reisen": "reisen.csv"}
GROCERIES = re.compile(
    r"grocer|pantry|bakery|breakfast|lunch|dinner|kitchen|food|soup|sauce|\brice\b|yogurt|soap|bagel|cracker|snack|beef|"
    r"pears|\btea\b|milk|bread|\boz\b|\blb\b|ingredient|shelf|shelves|aisle|basket|store brand|national brand|\bshop\b|"
    r"meal|recipe|taste",
    re.IGNORECASE,
)
ENGLISH = Recipes.in_folder("content").for_languages(["en"])
HEADLINE = {recipe.recipe_id: recipe for recipe in ENGLISH}["headline-plain-en"]
PULLOVER = {"title": "Merino pullover", "material": "merino wool"}


def facts_in(request: Request) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in request.messages[-1]["content"].splitlines())


@dataclass
class Trades:
    """One home in which a loop for each of the three catalogues has produced a turn."""

    home: Path
    asked: list[Request] = field(default_factory=list)

    def loops(self) -> list[Loop]:
        said = read(DATA / "flywheel.toml")
        named = [replace(declare(), name=name) for name in FILES]
        return [as_declared(loop, said["content"] if loop.name == "reisen" else {}) for loop in named]

    def write(self, request: Request) -> str:
        self.asked.append(request)
        facts = facts_in(request)
        if "Reiseziel" in facts:
            price = "99 €" if facts["Reiseziel"] == "Wien" else facts["Reisepreis"]
            return f"Entdecken Sie {facts['Reiseziel']} für {price}."
        if "plan" in facts:
            return f"{facts['name']} comes with {facts.get('features', 'the ' + facts['plan'] + ' plan')}."
        price = "9.90 EUR" if "cardigan" in facts["title"] else f"{facts['price']} EUR"
        return f"{facts['title']} in {facts['colour']}, for {price}."

    def produce(self) -> TurningLoops:
        model = ScriptedModel(self.write)
        wheel = TurningLoops(
            self.home, [Turner(loop=loop, subjects=[]) for loop in self.loops()], model, {"subjects_per_turn": 20}
        )
        for name, file in FILES.items():
            folder = wheel.settings.landing / name / "subjects"
            folder.mkdir(parents=True)
            shutil.copy(DATA / file, folder)
        wheel.flywheel.produce(key_of_turn(0))
        return wheel


@pytest.fixture(scope="module")
def trades(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trades, TurningLoops]:
    trades = Trades(tmp_path_factory.mktemp("trades"))
    return trades, trades.produce()


def subjects(wheel: TurningLoops, loop: str) -> dict[str, dict[str, Any]]:
    rows = wheel.table("subjects").filter(pl.col("loop") == loop).to_dicts()
    return {row["subject_id"]: {**row, "facts": json.loads(row["facts"])} for row in rows}


def prompts(wheel: TurningLoops, loop: str) -> dict[str, list[str]]:
    """By subject, the whole chats as they were sent."""
    found: dict[str, list[str]] = {}
    for row in wheel.table("briefs").filter(pl.col("loop") == loop).to_dicts():
        found.setdefault(row["subject_id"], []).append(row["messages"])
    return found


def outbox(wheel: TurningLoops, loop: str) -> dict[str, list[str]]:
    """By subject, the texts that are released beside the original."""
    file = wheel.settings.outbox / loop / f"{key_of_turn(0)}.ndjson"
    items = [json.loads(line) for line in file.read_text().splitlines()]
    return {item["subject_id"]: [v["text"] for v in item["variants"] if not v["is_control"]] for item in items}


def test_every_catalogue_lands_whole_whatever_its_columns(trades: tuple[Trades, TurningLoops]) -> None:
    files = trades[1].table("landed_files").select("loop", "rows_read", "accepted", "quarantined").rows()
    assert sorted(files) == [("fashion", 6, 6, 0), ("reisen", 6, 6, 0), ("software", 6, 6, 0)]


def test_facts_are_what_the_file_brings_and_no_identifier_or_address_of_it(trades: tuple[Trades, TurningLoops]) -> None:
    assert subjects(trades[1], "fashion")["f-100"]["facts"] == {
        "brand": "Nordlicht",
        "category": "knitwear",
        "title": "Merino crew pullover",
        "material": "merino wool",
        "colour": "navy",
        "sizes": "S to XL",
        "price": "89.90",
        "currency": "EUR",
        "care": "hand wash",
    }
    software = {named: each["facts"] for named, each in subjects(trades[1], "software").items()}
    assert software["s-1"]["features"] == "timesheets, approvals, calendar sync"
    assert software["s-1"]["seats"] == "25"
    assert software["s-3"]["limits"] == software["s-4"]["features"] == software["s-4"]["price"] == ""
    assert not {"url", "created_at"} & set(software["s-1"])


def test_mapped_columns_are_read_under_their_own_names_and_nothing_undeclared_is_kept(
    trades: tuple[Trades, TurningLoops],
) -> None:
    found = subjects(trades[1], "reisen")
    assert found["t-5"]["facts"] == {
        "Reiseziel": "Kykladen",
        "Dauer": "10 Tage",
        "Reisepreis": "1.299,00 €",
        "Unterkunft": "Gästehäuser",
        "Anreise": "Flug und Fähre",
    }
    assert (found["t-5"]["category"], found["t-5"]["original"]) == ("Südeuropa", "Inselhüpfen mit leichtem Gepäck")
    assert (found["t-1"]["format"], found["t-4"]["format"]) == ("description", "description")
    assert set(trades[1].table("briefs").filter(pl.col("loop") == "reisen")["language"]) == {"de"}


def test_shown_facts_reach_the_prompt_price_and_all_and_others_do_not(trades: tuple[Trades, TurningLoops]) -> None:
    for chat in prompts(trades[1], "fashion")["f-100"]:
        assert "price: 89.90\\ncurrency: EUR\\ncare: hand wash" in chat
    for chat in prompts(trades[1], "reisen")["t-1"]:
        assert "Reiseziel: Lissabon\\nDauer: 5 Tage\\nReisepreis: 649,00 €" in chat
        assert "Anreise" not in chat
        assert "410,00" not in chat, "what the house pays is no fact"


def test_the_text_in_force_is_sent_unless_it_is_a_placeholder(trades: tuple[Trades, TurningLoops]) -> None:
    for loop, placeholders in {"fashion": {"f-102"}, "software": {"s-2"}, "reisen": {"t-3"}}.items():
        found = subjects(trades[1], loop)
        for named, chats in prompts(trades[1], loop).items():
            said = f"text in force: {found[named]['original']}"
            assert {said in chat for chat in chats} == {named not in placeholders}, named
            assert {"text in force" in chat for chat in chats} == {named not in placeholders}


def test_no_word_of_groceries_stands_in_a_prompt_of_another_trade(trades: tuple[Trades, TurningLoops]) -> None:
    for loop in FILES:
        for chats in prompts(trades[1], loop).values():
            for chat in chats:
                assert GROCERIES.findall(chat) == []


def test_what_guards_find_true_by_the_files_own_facts_is_released_and_a_wrong_price_is_not(
    trades: tuple[Trades, TurningLoops],
) -> None:
    released = {loop: outbox(trades[1], loop) for loop in FILES}
    assert released["fashion"]["f-104"] == ["Pleated trousers in charcoal, for 119.00 EUR."]
    assert released["software"]["s-3"] == ["Paperboat comes with reminders, tax reports."]
    assert released["reisen"]["t-5"] == ["Entdecken Sie Kykladen für 1.299,00 €."]
    assert released["fashion"]["f-101"] == released["reisen"]["t-2"] == []
    blocked = trades[1].table("verdicts").filter(pl.col("decision") == "block", pl.col("guard") == "grounded")
    assert set(blocked["reason"]) >= {
        "No fact gives the price 9.90 EUR.",
        "No fact gives the price 99 €.",
    }


def test_a_grocers_catalogue_is_shown_the_grocers_examples_and_others_the_neutral_ones() -> None:
    grocer = {"department": "Grocery", "type": "tomato soup"}
    assert HEADLINE.suited_to(grocer) is HEADLINE
    for facts in (PULLOVER, {"department": "women", "type": "pullover", "category": "pantry"}, {}):
        chat = HEADLINE.suited_to(facts).messages(facts)
        assert "Model Alpha" in str(chat)
        assert GROCERIES.findall(str(chat[:-1])) == []


def test_own_winners_take_the_place_of_neutral_examples() -> None:
    won = Example("v1", {"title": "Linen cardigan"}, "A cardigan that weighs nothing")
    chat = HEADLINE.suited_to(PULLOVER, has_examples=True).messages(PULLOVER, [won])
    assert [message["role"] for message in chat] == ["system", "user", "assistant", "user"]
    assert chat[2]["content"] == won.text


@pytest.mark.parametrize("recipe", ENGLISH, ids=lambda recipe: recipe.recipe_id)
def test_neutral_examples_keep_to_their_facts(recipe: Recipe) -> None:
    examples = [message for message in recipe.neutral[:-1] if message.role != "system"]
    assert len(examples) == 6
    for asked, answered in zip(examples[::2], examples[1::2], strict=True):
        facts = dict(line.split(": ", 1) for line in asked.content.splitlines())
        for guard in (grounded(), on_topic("type")):
            verdict = guard(Draft(answered.content, facts, facts["name"]))
            assert verdict.decision == "pass", verdict.reason


@pytest.mark.parametrize(
    ("facts", "text", "decision"),
    [
        ({"price": "59.90", "currency": "EUR"}, "A pullover for €59.90", "pass"),
        ({"price": "59.90", "currency": "EUR"}, "A pullover for 59,90 Euro", "pass"),
        ({"price": "59.90", "currency": "EUR"}, "A pullover for $59.90", "block"),
        ({"price": "59.90", "currency": "EUR"}, "A pullover for 60 €", "block"),
        ({"price": "59.90", "currency": "EUR"}, "A pullover for 60", "block"),
        ({"price": "59.90"}, "A pullover for 59.90", "pass"),
        ({"price": "59.90"}, "A pullover for €59.90", "flag"),
        ({"price": "59"}, "A pullover with 59 stitches", "block"),
        ({"size": "42"}, "A pullover for 42 €", "block"),
        ({"Preis": "1.299,00 €"}, "Ein Pullover für 1299 €", "pass"),
        ({"Preis": "1.299,00 €"}, "Ein Pullover für 1.299 €", "pass"),
        ({"Preis": "1.299,00 €"}, "Ein Pullover für 12,99 €", "block"),
        ({"price_chf": "80"}, "A pullover for CHF 80", "pass"),
        ({"price": "19.00 to 29.00 USD"}, "A pullover from $19", "pass"),
        ({"price": "19.00 to 29.00 USD"}, "A pullover from $24", "block"),
        ({"price": "12.99 EUR", "text in force": "A pullover, now 9.99 EUR"}, "A pullover for 9.99 EUR", "block"),
        ({"text in force": "A pullover, now 9.99 EUR"}, "A pullover for 9.99 EUR", "pass"),
    ],
)
def test_a_price_said_is_the_price_of_a_fact(facts: dict[str, str], text: str, decision: str) -> None:
    verdict = grounded()(Draft(text, {"title": "Pullover", **facts}, facts.get("text in force", "")))
    assert verdict.decision == decision, verdict.reason


def test_a_bare_number_is_a_price_by_the_name_of_its_fact_alone() -> None:
    assert [price.cents for price in prices({"list_price": "5", "seats": "7", "Fahrpreis": "3,5"})] == [500, 350]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *(
            (text, False)
            for text in ("TBD", "-", "n/a", "Lorem ipsum dolor", "{{ description }}", "[Insert text here]")
        ),
        *((text, False) for text in ("Product description", "No description yet", "Text folgt", "Coming soon", "xxx")),
        *((text, True) for text in ("Linen shirt", "Text editor for teams", "Name your price", "Testing made easy")),
    ],
)
def test_a_placeholder_is_no_text_in_force(text: str, says: bool) -> None:
    assert is_text(text) is says


@pytest.mark.parametrize(
    ("facts", "original", "text", "decision"),
    [
        ({"type": "pullover", "title": "Warm layer"}, "x", "A warm layer", "flag"),
        ({"title": "Merino pullover"}, "A soft layer", "A pullover for winter", "pass"),
        ({"title": "Merino pullover"}, "A soft layer", "Try bagels today", "flag"),
        ({"destination": "Lisbon"}, "City break by the sea", "A city break for two", "pass"),
        ({"destination": "Lisbon"}, "City break by the sea", "Lisbon is waiting", "pass"),
        ({"destination": "Lisbon"}, "City break by the sea", "Dish soap for pots", "flag"),
    ],
)
def test_a_subject_without_a_type_is_known_by_its_title_or_all_that_is_said_of_it(
    facts: dict[str, str], original: str, text: str, decision: str
) -> None:
    assert on_topic("type")(Draft(text, facts, original)).decision == decision


def test_columns_that_lend_a_fact_are_told_from_those_that_do_not_by_their_names() -> None:
    lent = ("colour", "Größe", "price", "duration_days", "video quality", "handle material", "key features", "version")
    kept = (
        "product_id",
        "SKU",
        "imageUrl",
        "Bild 1",
        "created_at",
        "updatedAt",
        "vendor_email",
        "unit cost",
        "_raw",
        "42",
    )
    assert [name for name in (*lent, *kept) if lends_a_fact(name)] == list(lent)


def test_a_fact_that_differs_in_case_from_a_declared_one_is_a_fact_of_its_own(
    trades: tuple[Trades, TurningLoops],
) -> None:
    _, wheel = trades
    loop = declare()
    row = {"subject_id": "c1", "format": "headline", "category": "c", "original": "A shirt", "Size": "M", "SIZE": "L"}
    wheel.landing.write("subjects", loop.name, [row], "cases")
    (report,) = wheel.landing.ingest_subjects(loop, run_id="run", progress=lambda _: None)
    assert (report.accepted, report.ignored) == (1, ("Size",))
    facts = "select facts from flywheel.landed_subjects where loop = 'content'"
    assert wheel.warehouse.read(facts).item() == '{"category":"c","SIZE":"L"}'


def test_lists_and_nested_values_of_parquet_are_read_as_those_of_json(trades: tuple[Trades, TurningLoops]) -> None:
    _, wheel = trades
    loop = replace(declare(), name="parquet")
    folder = wheel.settings.landing / "parquet" / "subjects"
    folder.mkdir(parents=True)
    row = {"subject_id": "p1", "format": "headline", "category": "c", "original": "A shirt", "seats": 4, "share": 0.5}
    nested = {"sizes": ["S", "M"], "none": [], "limits": {"users": 3}, "rated": [{"by": "x"}]}
    pl.DataFrame([row | nested]).write_parquet(folder / "a.parquet")
    wheel.landing.ingest_subjects(loop, run_id="run", progress=lambda _: None)
    facts = json.loads(wheel.warehouse.read("select facts from flywheel.landed_subjects where loop = 'parquet'").item())
    assert {name: facts[name] for name in ("seats", "share", "sizes", "none", "limits", "rated")} == {
        "seats": "4",
        "share": "0.5",
        "sizes": "S, M",
        "none": "",
        "limits": "",
        "rated": "",
    }


def test_rows_of_the_earlier_columns_are_the_same_rows_as_before(trades: tuple[Trades, TurningLoops]) -> None:
    _, wheel = trades
    loop = replace(declare(), name="groceries")
    wheel.landing.write("subjects", loop.name, [{**row, "product_id": "7"} for row in catalogue(1)], "groceries")
    wheel.landing.ingest_subjects(loop, run_id="run", progress=lambda _: None)
    kept = wheel.warehouse.read("select version, facts from flywheel.landed_subjects where loop = 'groceries'").row(0)
    assert kept == (
        "f9e5b7edda87ccb28710c3b234abb782",
        '{"brand":"store brand","department":"grocery","category":"pantry","type":"green beans","size":"8 oz"}',
    )
