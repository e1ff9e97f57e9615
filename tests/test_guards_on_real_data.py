"""How good the guards are on texts that nobody wrote for them: recall, precision and speed, each with its bar.

The bars lie a little under what was measured; the figures are in the comments.
"""

import gzip
import json
import time
from collections import Counter

import pytest

from orchestration.guards import Draft, in_language, judge, no_profanity, tone
from orchestration.guards.personal_data import personal_data
from tests.test_guards import EVERY, SAUCE

KINDS = {
    "EMAIL_ADDRESS": "e-mail address",
    "PHONE_NUMBER": "phone number",
    "CREDIT_CARD": "card number",
    "IBAN_CODE": "IBAN",
    "US_SSN": "social security number",
    "IP_ADDRESS": "IP address",
    "STREET_ADDRESS": "postal address",
    "PERSON": "person's name",
}


@pytest.fixture(scope="module")
def found_in_pii(shared_data):
    """Per type of entity (hits, marked), and per kind (right, found), where any overlap is a hit."""
    recall, precision = Counter(), Counter()
    for row in json.loads((shared_data / "presidio_pii_synth" / "synthetic_pii.json").read_text(encoding="utf-8")):
        findings = personal_data(row["full_text"])
        marked = [(s["entity_type"], s["start_position"], s["end_position"]) for s in row["spans"]]
        for entity, start, end in marked:
            if entity in KINDS:
                hit = any(f.kind == KINDS[entity] and f.start < end and start < f.end for f in findings)
                recall[entity, hit] += 1
        for finding in findings:
            met = {entity for entity, start, end in marked if finding.start < end and start < finding.end}
            # towns and postal codes are part of an address
            right = finding.kind in {KINDS.get(entity) for entity in met} or (
                finding.kind == "postal address" and bool(met & {"GPE", "ZIP_CODE"})
            )
            precision[finding.kind, right] += 1
    return recall, precision


@pytest.mark.parametrize(
    ("entity", "least_recall", "least_precision"),
    [
        ("EMAIL_ADDRESS", 1.0, 1.0),
        ("CREDIT_CARD", 1.0, 1.0),
        ("IBAN_CODE", 1.0, 1.0),
        ("US_SSN", 1.0, 1.0),
        ("IP_ADDRESS", 1.0, 1.0),
        ("PHONE_NUMBER", 0.75, 0.90),  # .77 and .94: local numbers of 30 countries without a country code are missed
        ("STREET_ADDRESS", 0.65, 0.95),  # .67 and 1.0: bare house numbers marked as addresses are missed
        ("PERSON", 0.48, 0.70),  # .51 and .75: single first names are missed, places are taken for people
    ],
)
def test_personal_data_is_found_by_type(found_in_pii, entity, least_recall, least_precision):
    recall, precision = found_in_pii
    hits, misses = recall[entity, True], recall[entity, False]
    right, wrong = precision[KINDS[entity], True], precision[KINDS[entity], False]
    assert hits / (hits + misses) >= least_recall
    assert right / (right + wrong) >= least_precision


def test_clickbait_is_told_from_news_with_few_false_alarms(shared_data):
    flagged = {}
    for name in ("clickbait_data", "non_clickbait_data"):
        with gzip.open(shared_data / "clickbait_32k" / f"{name}.gz", "rt", encoding="utf-8") as lines:
            headlines = [line.strip() for line in lines if line.strip()][::4]
        # only the tricks: news of disasters is dark, and has no original to be darker than
        verdicts = [tone(darker_at_most=9)(Draft(text, {}, "")) for text in headlines]
        flagged[name] = sum(verdict.decision == "flag" for verdict in verdicts) / len(headlines)
    assert flagged["clickbait_data"] >= 0.53  # .56
    assert flagged["non_clickbait_data"] <= 0.008  # .005


def test_english_headlines_are_read_as_english_and_as_no_other_language(shared_data):
    import pandas as pd

    rows = pd.read_parquet(shared_data / "upworthy" / "headline_tests.parquet", columns=["headline"])
    texts = rows["headline"].drop_duplicates().sample(1500, random_state=3)
    english = Counter(in_language()(Draft(text, {}, "")).decision for text in texts)
    german = Counter(in_language()(Draft(text, {}, "", language="de")).decision for text in texts)
    assert english["pass"] >= 0.998 * len(texts)
    assert german["block"] >= 0.97 * len(texts)


def test_hateful_texts_are_found_and_scientific_ones_left_alone(shared_data):
    with gzip.open(shared_data / "openai_moderation_eval" / "samples.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    hateful = [row["prompt"] for row in rows if row.get("H") == 1 or row.get("HR") == 1]
    found = sum(no_profanity()(Draft(text, {}, "")).decision != "pass" for text in hateful)
    assert found / len(hateful) >= 0.6  # .64: hate without a swear word is beyond a list
    science = [json.loads(line)["target"] for line in (shared_data / "scitldr" / "train.jsonl").open(encoding="utf-8")]
    sentences = [text if isinstance(text, str) else text[0] for text in science[:1000]]
    assert sum(no_profanity()(Draft(text, {}, "")).decision != "pass" for text in sentences) <= 5


def test_a_turn_of_drafts_is_judged_in_well_under_a_second():
    judge(Draft("Load the word lists.", SAUCE, ""), EVERY)
    text = "Smooth Private apple sauce in a 50 oz jar. Spoon it over pancakes, or pack it for lunch. Batch {}."
    drafts = [Draft(text.format(n), SAUCE, "Apple sauce, 50 oz.", others=(text,)) for n in range(600)]
    started = time.process_time()
    for draft in drafts:
        judge(draft, EVERY)
    assert time.process_time() - started < 1.5  # 0.4 s on an idle core
