"""What each guard lets through, flags and blocks, by example and by law."""

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.guards import (
    Draft,
    Verdict,
    distinct,
    grounded,
    in_language,
    judge,
    makes_sense,
    no_personal_data,
    no_profanity,
    on_brand,
    on_topic,
    read_brand,
    sensible,
    tone,
    well_formed,
    words,
    worst,
)
from orchestration.guards.brand import SHIPPED

LABELS = Path(__file__).parent / "data" / "labelled_copy.ndjson"
SAUCE = {
    "brand": "Private",
    "department": "GROCERY",
    "category": "FRUIT - SHELF STABLE",
    "type": "APPLE SAUCE",
    "size": "50 OZ",
}
COOKIES = {
    "brand": "National",
    "department": "GROCERY",
    "category": "COOKIES/CONES",
    "type": "TRAY PACK/CHOC CHIP COOKIES",
    "size": "16 OZ",
}
EVERY = (
    words(at_most=60),
    well_formed(),
    grounded(),
    in_language(),
    no_profanity(),
    no_personal_data(),
    distinct(),
    on_brand(),
    tone(),
    on_topic("type"),
)


def draft(text: str, facts: dict[str, str] = SAUCE, **more: object) -> Draft:
    return Draft(text, facts, **{"original": "", **more})  # type: ignore[arg-type]


# --- judging ---------------------------------------------------------------------------------------------------------


def test_a_good_text_passes_every_guard():
    text = "Smooth Private apple sauce in a big 50 oz jar. Spoon it over pancakes or pack it for lunch."
    original = "Private APPLE SAUCE, 50 OZ."
    verdicts = judge(draft(text, original=original, format="description"), EVERY)
    assert worst(verdicts) == "pass", verdicts
    assert [verdict.guard for verdict in verdicts] == [guard.name for guard in EVERY]


def test_a_guard_that_raises_loses_no_candidate():
    class Broken:
        name = "broken"

        def __call__(self, draft: Draft) -> Verdict:
            raise KeyError("size")

    verdicts = judge(draft("Apple sauce."), [Broken(), grounded()])
    assert verdicts[0] == Verdict("broken", "flag", "could not judge: KeyError: 'size'")
    assert verdicts[1].decision == "pass"


def test_the_worst_decision_counts_and_no_verdict_means_a_person():
    assert worst([Verdict("a", "pass", ""), Verdict("b", "block", ""), Verdict("c", "flag", "")]) == "block"
    assert worst([Verdict("a", "pass", ""), Verdict("c", "flag", "")]) == "flag"
    assert worst([]) == "flag"


@given(st.text(max_size=200), st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=3))
def test_no_text_whatsoever_makes_a_guard_raise(text, facts):
    for verdict in judge(draft(text, facts, format="social", others=("Other text.",)), EVERY):
        assert not verdict.reason.startswith("could not judge"), verdict


# --- length and form -------------------------------------------------------------------------------------------------


@given(st.integers(1, 90))
def test_length_is_counted_in_words_and_bounded_by_the_format(count):
    text = " ".join(["word"] * count)
    assert (words(at_most=60)(draft(text)).decision == "pass") == (count <= 60)
    assert (words(at_most=60)(draft(text, format="headline")).decision == "pass") == (2 <= count <= 14)


@pytest.mark.parametrize(
    "text",
    [
        "**Apple Sauce** for your lunch.",
        "Headline: Apple Sauce for Lunch",
        "Sure! Here is a description of the product: apple sauce.",
        "Description:\nSmooth apple sauce.",
        "Smooth apple sauce.\n\nMade for lunch.",
        "Smooth apple sauce for the",
        "Smooth apple sauce, ready for lunch and",
        "Smooth apple sauce, ready for the lunch box,",
        "Smooth apple sauce. brand: Private size: 50 OZ",
        'Smooth apple sauce "for lunch.',
        '"Smooth apple sauce for lunch."',
        "Smooth apple sauce from [brand name].",
        "Smooth {{ facts }} apple sauce.",
        "Apple sauce for lunch. It is good. It is good. It is good.",
        "Apple sauce, what a lifesaver, what a lifesaver!",
        "Apple sauce is very, very, very good.",
        "- Smooth apple sauce for lunch.",
        "I'm sorry, I cannot write that.",
        "<p>Smooth apple sauce.</p>",
        "",
    ],
)
def test_what_is_not_one_clean_finished_text_is_blocked(text):
    assert well_formed()(draft(text, format="description")).decision == "block"


@pytest.mark.parametrize(
    ("text", "format_"),
    [
        ("Apple sauce makes lunch easy", "headline"),
        ("Lunch? Apple sauce! 🍎", "social"),
        ("Spoon, jar, done. #lunch", "social"),
        ("Smooth apple sauce (50 oz) for the lunch box.", "description"),
        ("It's the family's favorite, isn't it?", "description"),
    ],
)
def test_a_finished_text_of_any_format_is_well_formed(text, format_):
    assert well_formed()(draft(text, format=format_)).decision == "pass"


def test_the_catalogues_own_spelling_is_left_to_a_person():
    verdict = well_formed()(draft("Try our TRAY PACK/CHOC CHIP COOKIES today.", COOKIES))
    assert verdict.decision == "flag"
    assert "TRAY PACK/CHOC CHIP COOKIES" in verdict.reason


def test_a_doubled_word_is_left_to_a_person():
    assert well_formed()(draft("Apple sauce is an easy, easy choice.")).decision == "flag"


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("Applesauce for lunch.", "pass"),
        ("A sauce of one fruit.", "pass"),
        ("Dish soap for pots, 50 oz.", "flag"),
        ("Grocery for everyone.", "flag"),
    ],
)
def test_a_text_that_does_not_name_its_subject_waits_for_a_person(text, decision):
    assert on_topic("type")(draft(text)).decision == decision
    assert on_topic("type")(draft(text, language="de")).decision == "pass"


# --- grounding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "A 50-ounce jar.",
        "A 50OZ jar.",
        "A jar of 50 fl. oz.",
        "Just over 3 1/8 pounds of apple sauce.",
        "Applesauce for everyone.",
        "PRIVATE brand sauce on Monday.",
        "What's for lunch? Apple sauce!",
        "One spoon a day.",
        "Apple Sauce That Makes Lunch Easy",
        "Made with apples.",
        "Made with love.",
    ],
)
def test_what_the_facts_state_in_any_spelling_is_grounded(text):
    verdict = grounded()(draft(text))
    assert verdict.decision == "pass", verdict.reason


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("A 48 oz jar.", "48 oz"),
        ("A jar of 50 g.", "50 g"),
        ("Loved since 1978.", "1978"),
        ("Now 100% fruit.", "100%"),
        ("Only $3.99.", "$3.99"),
        ("50 apples in every jar.", "50 apples"),
        ("Two pounds of sauce.", "Two pounds"),
        ("With vitamin B12.", "B12"),
        ("Order at www.sauce.com today.", "www.sauce.com"),
    ],
)
def test_a_number_or_an_address_that_no_fact_states_is_blocked(text, named):
    verdict = grounded()(draft(text))
    assert verdict.decision == "block"
    assert named in verdict.reason


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Our friends at Kroger make this apple sauce.", "Kroger"),
        ("Kroger makes this apple sauce.", "Kroger"),
        ("Sally's apple sauce is here.", "Sally's"),
        ("Introducing the Simple Truth apple sauce.", "Simple Truth"),
        ("A taste of Italian summer.", "Italian"),
        ("Starbucks Apple Sauce Makes Lunch Easy", "Starbucks"),
        ("Sauce time! #Starbucks", "Starbucks"),
        ("Made with apples and cinnamon.", "cinnamon"),
        ("It contains butter.", "butter"),
        ("Three reasons to smile.", "Three"),
    ],
)
def test_a_name_or_a_substance_that_no_fact_states_waits_for_a_person(text, named):
    verdict = grounded()(draft(text))
    assert verdict.decision == "flag"
    assert named in verdict.reason


@pytest.mark.parametrize(
    ("size", "text"),
    [
        ("16 OZ", "A full 1 lb bag."),
        ("2 LB 5 OZ", "All of 37 ounces."),
        ("6-2 OZ", "Six cups, 12 oz in all."),
        ("6/12 OZ", "6 cans of 12 oz."),
        ("PT", "A pint of it."),
        ("1/2 GAL", "Half a gallon of it."),
        ("1.5 LTR", "1,500 ml of it."),
        ("12 CT", "A dozen of them."),
        ("32 LDS", "Good for 32 loads."),
        ("27.4 OZ", "27.4 oz of it."),
    ],
)
def test_the_catalogues_short_forms_of_sizes_are_understood(size, text):
    verdict = grounded()(draft(text, {"size": size}))
    assert verdict.decision == "pass", verdict.reason


def test_abbreviated_facts_know_their_long_forms():
    text = "Try our Chocolate Chip Cookies."
    assert grounded()(draft(text, COOKIES)).decision == "pass"


def test_german_nouns_are_no_names_but_two_capitals_together_are():
    facts = {"type": "APFELMUS"}
    assert grounded()(draft("Unser Mus schmeckt zur Pause nach Sommer.", facts, language="de")).decision == "pass"
    verdict = grounded()(draft("Unser Mus kommt von der Firma Kroger Hausmarke.", facts, language="de"))
    assert verdict.decision == "flag"
    assert "Kroger Hausmarke" in verdict.reason


NUMBERS = st.integers(2, 5000)
UNITS = st.sampled_from(["OZ", "oz", "LB", "ml", "g", "CT", "%"])


@given(NUMBERS, UNITS, st.sampled_from(["{n} {u}", "{n}{u}", "{n}-{u}"]))
def test_a_number_from_the_facts_is_grounded_however_it_is_spaced(number, unit, form):
    text = f"Comes in {form.format(n=number, u=unit)} of it."
    assert grounded()(draft(text, {"size": f"{number} {unit}"})).decision == "pass"


@given(NUMBERS, NUMBERS, UNITS)
def test_any_other_number_is_blocked(stated, written, unit):
    text = f"Comes in {written} {unit} of it."
    same = abs(stated - written) <= 0.01 * max(stated, written)
    assert (grounded()(draft(text, {"size": f"{stated} {unit}"})).decision == "pass") == same


# --- language, profanity, personal data ------------------------------------------------------------------------------

SENTENCES = {
    "en": "Smooth apple sauce for the lunch box.",
    "de": "Knusprige Kekse für jede Pause.",
    "fr": "Une compote de pommes douce et simple.",
    "es": "Galletas crujientes para la merienda.",
    "it": "Purea di mele dolce e cremosa.",
    "pt": "Biscoitos crocantes para o lanche.",
    "nl": "Zachte appelmoes voor het hele gezin.",
}


@pytest.mark.parametrize("asked", SENTENCES)
def test_each_language_is_told_from_every_other(asked):
    for written, text in SENTENCES.items():
        decision = in_language()(draft(text, language=asked)).decision
        assert decision == ("pass" if written == asked else "block"), (asked, text)


def test_a_text_too_short_to_tell_passes():
    assert in_language()(draft("Yum, mango!", language="de")).decision == "pass"


@pytest.mark.parametrize(
    "text", ["What the fuck.", "This is sh1t.", "Total bullsh*t!", "f.u.c.k this.", "You a$$hole."]
)
def test_swear_words_are_blocked_in_any_disguise(text):
    verdict = no_profanity()(draft(text))
    assert verdict.decision == "block"
    assert not re.search("fuck|shit|hole", verdict.reason)


@pytest.mark.parametrize(
    "text",
    ["Chicken breasts and rump steak.", "A pot of steamy rum punch.", "Hemp seed, 16oz.", "Class, bass and cocktail.",
     "Oral care: a soft strip.", "Sausage and sauerkraut."],
)  # fmt: skip
def test_words_of_the_shop_are_no_swear_words(text):
    assert no_profanity()(draft(text)).decision == "pass"


def test_words_that_offend_only_some_wait_for_a_person():
    assert no_profanity()(draft("Damn good cookies.")).decision == "flag"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to jo@example.org now.", "e-mail address"),
        ("Call +1 650 253 0000 now.", "phone number"),
        ("Pay with 4111 1111 1111 1111.", "card number"),
        ("To GB82 WEST 1234 5698 7654 32.", "IBAN"),
        ("It is 123-45-6789.", "social security number"),
        ("From 192.168.0.12 only.", "IP address"),
        ("At https://jo:pw@example.org/x.", "log-in"),
    ],
)
def test_identifiers_are_blocked_and_never_quoted(text, kind):
    verdict = no_personal_data()(draft(text))
    assert verdict.decision == "block"
    assert kind in verdict.reason
    assert not any(part in verdict.reason for part in re.findall(r"\S*\d\S*|\S+@\S+", text) if len(part) > 2)


@pytest.mark.parametrize("text", ["Come to 12 Baker Street.", "Says Mr. Harold Jones.", "Loved by Krisztina Nagy."])
def test_addresses_and_persons_wait_for_a_person_unless_the_facts_name_them(text):
    assert no_personal_data()(draft(text)).decision == "flag"
    assert no_personal_data()(draft(text, {"maker": text})).decision == "pass"


@given(st.integers(10**11, 10**15 - 1))
def test_a_long_number_is_a_card_exactly_when_its_checksum_holds(number):
    digits = [int(digit) for digit in reversed(str(number))]
    odd = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    found = "card number" in no_personal_data()(draft(f"The reference {number} it is.")).reason
    assert found == (odd % 10 == 0)


# --- newness, brand, tone --------------------------------------------------------------------------------------------


def test_a_near_copy_of_the_original_or_of_a_rival_is_blocked():
    text = "Smooth apple sauce for your lunch box."
    assert distinct()(draft(text, original="SMOOTH apple sauce, for your lunch box!")).decision == "block"
    assert distinct()(draft(text, others=("For your lunch box: smooth apple sauce",))).decision == "block"
    assert distinct()(draft(text, original="Apple sauce, 50 oz.")).decision == "pass"


@given(st.text(min_size=3, max_size=60).filter(lambda text: any(c.isalnum() for c in text)), st.randoms())
def test_the_same_words_in_any_order_are_no_news(text, rng: random.Random):
    shuffled = text.split()
    rng.shuffle(shuffled)
    assert distinct()(draft(" ".join(shuffled), original=" ".join(text.split()))).decision in ("block", "pass")
    assert distinct()(draft(text, original=text)).decision == "block"


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("Organic apple sauce.", "block"),
        ("Gluten free apple sauce.", "block"),
        ("Our award-winning apple sauce.", "block"),
        ("It cures colds.", "block"),
        ("Healthy apple sauce.", "flag"),
        ("Secure the jar.", "pass"),
    ],
)
def test_claims_are_held_against_the_shipped_brand_file(text, decision):
    assert on_brand()(draft(text)).decision == decision


def test_a_property_that_is_a_fact_may_be_said_and_a_health_claim_never():
    facts = {"type": "ORGANIC APPLE SAUCE", "claim": "CURES COLDS"}
    assert on_brand()(draft("Organic apple sauce.", facts)).decision == "pass"
    assert on_brand()(draft("It cures colds.", facts)).decision == "block"


def test_what_is_no_food_is_never_offered_as_food():
    bleach = {"category": "household", "type": "liquid bleach"}
    text = "Try liquid bleach this week. You get a tasty treat."
    assert on_brand()(draft(text, bleach)).decision == "block"
    assert on_brand()(draft("Liquid bleach: your easy start to a busy morning", bleach)).decision == "flag"
    assert on_brand()(draft("Apple sauce is a tasty treat on a busy morning.")).decision == "pass"


def test_a_brand_file_of_ones_own_replaces_the_shipped_one(tmp_path):
    path = tmp_path / "brand.toml"
    path.write_text('[[claims]]\nphrases = ["zesty"]\ndecision = "block"\nwhy = "we never say so"\n')
    own = on_brand(path)
    path.unlink()  # read once, when the guard was made
    assert own(draft("A zesty sauce.")).reason == "'zesty': we never say so."
    assert own(draft("Organic sauce.")).decision == "pass"
    assert on_brand(read_brand(SHIPPED)) == on_brand()


@pytest.mark.parametrize(
    "entry",
    [{}, {"phrases": [], "decision": "block", "why": "x"}, {"phrases": ["a"], "decision": "ban", "why": "x"},
     {"phrases": ["a"], "decision": "block", "why": "x", "unles": True}],
)  # fmt: skip
def test_a_brand_file_of_the_wrong_form_is_refused_with_the_entry(entry):
    with pytest.raises(ValueError, match="number 1"):
        on_brand({"claims": [entry]})


@pytest.mark.parametrize(
    "text",
    ["You won't believe what happens next with apple sauce", "17 things that only apple sauce lovers know",
     "This one trick will change your lunch", "Which apple sauce are you?"],
)  # fmt: skip
def test_tricks_that_the_original_did_without_are_flagged(text):
    assert tone()(draft(text, original="Apple sauce, 50 oz.")).decision == "flag"
    assert tone()(draft(text, original=text)).decision == "pass"


def test_a_text_much_darker_than_the_original_is_flagged():
    verdict = tone()(draft("Stop the awful, disgusting misery of dry toast.", original="Apple sauce, 50 oz."))
    assert verdict.decision == "flag"
    assert "Darker" in verdict.reason
    assert tone()(draft("No more boring toast: a happy, lovely lunch!", original="Apple sauce.")).decision == "pass"


WHITE_BREAD = {"brand": "store brand", "category": "bakery and breakfast", "type": "white bread", "size": "20 oz"}
FOIL = {"brand": "store brand", "category": "household", "type": "aluminum foil", "size": "75 ft"}


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("Aluminum foil, anyone? One quick bite and the whole table wants a treat!", FOIL),
        ("With aluminum foil, you can have a delicious breakfast. They are made with love and care.", FOIL),
        ("White bread, 20 oz. For breakfast at the kitchen sink.", WHITE_BREAD),
        ("Try white bread on your way to work. You get a delicious meal that is easy to prepare.", WHITE_BREAD),
    ],
)
def test_nonsense_about_a_product_is_blocked_with_what_speaks_for_it(text: str, facts: dict[str, str]) -> None:
    verdict = makes_sense("type")(draft(text, facts))
    assert verdict.decision == "block"
    assert repr(facts["type"]) in verdict.reason


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("White bread for toast and sandwiches, 20 oz", WHITE_BREAD),
        ("Your picnic is sorted: pick up white bread on your next visit.", WHITE_BREAD),
        ("Aluminum foil for roasting, freezing and wrapping leftovers, 75 ft", FOIL),
        (
            "Line the tray before you roast, wrap what is left for tomorrow, and cover the bowl in the fridge. With "
            "75 feet of aluminum foil there is enough for a season of cooking, and for the grill in summer.",
            FOIL,
        ),
    ],
)
def test_copy_that_a_shop_would_print_makes_sense_however_long(text: str, facts: dict[str, str]) -> None:
    assert makes_sense("type")(draft(text, facts)).decision == "pass"


def test_sense_is_judged_in_english_only_and_says_so() -> None:
    text = "Weißbrot, jemand? Ein Bissen und der ganze Tisch ist Geschichte!"
    verdict = makes_sense("type")(draft(text, WHITE_BREAD, language="de"))
    assert (verdict.decision, verdict.reason[:10]) == ("pass", "Not judged")
    assert sensible("type")(text, WHITE_BREAD, "de") == 1


@given(st.text(max_size=200), st.text(max_size=40))
def test_any_text_about_anything_has_a_sense(text: str, about: str) -> None:
    assert 0 <= sensible("type")(text, {"type": about}, "en") <= 1


def test_held_out_labels_are_judged_as_the_readme_says() -> None:
    rows = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    assert {row["split"] for row in rows} == {"train", "held-out"}
    types = {split: {row["facts"]["type"] for row in rows if row["split"] == split} for split in ("train", "held-out")}
    assert not types["train"] & types["held-out"]
    judge_it = makes_sense("type")
    stopped: dict[str, list[bool]] = {"wrong": [], "publishable": [], "poor": []}
    for row in rows:
        if row["split"] == "held-out":
            verdict = judge_it(draft(row["text"], row["facts"]))
            stopped[row["label"]].append(verdict.decision == "block")
    assert sum(stopped["wrong"]) / len(stopped["wrong"]) >= 0.65
    assert sum(stopped["publishable"]) / len(stopped["publishable"]) <= 0.10
