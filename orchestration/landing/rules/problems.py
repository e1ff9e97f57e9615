"""Why a landed row is refused: every reason, and what it says to whoever sent the row.

Here: reason codes and their sentences.
Not here: the conditions (columns, events, subjects, reviews) and the quarantine itself (landing.folder).

A problem travels through SQL as `reason` or as `reason:column`. No sentence quotes a value of the row, which may be
an identifier of a person.
"""

from collections.abc import Mapping

LONGEST_ID = 200
"""Most characters of an identifier or a name."""
LONGEST_TEXT = 20_000
"""Most characters of a text in force or edited."""
LONGEST_TITLE = 1_000
"""Most characters of a document's title, and of where it comes from."""
LONGEST_DOCUMENT = 1_000_000
"""Most characters of a document."""

SENTENCES: dict[str, str] = {
    "empty_line": "The line is empty.",
    "bad_encoding": "The line holds bytes that are not UTF-8 text.",
    "too_long": "{column} is longer than allowed.",
    "not_json": "The line is not valid JSON.",
    "truncated_json": "The line starts a JSON object and does not end it.",
    "not_an_object": "The line is JSON, but no object.",
    "broken_quotes": "A quotation mark is opened and not closed, or text follows a closing one.",
    "wrong_number_of_fields": "The line has more or fewer fields than the header.",
    "wrong_type": "{column} has a value of the wrong type.",
    "ambiguous_date": "{column} does not say whether the day or the month comes first: send ISO 8601, such as "
    "2026-01-05T09:30:00Z.",
    "ambiguous_number": "{column} may be in thousands or in thousandths: write it without dots between thousands.",
    "not_a_number": "{column} must be a finite number.",
    "bad_timestamp": "{column} must be a date and time in ISO 8601, such as 2026-01-05T09:30:00Z.",
    "missing": "{column} is empty.",
    "unknown_loop": "No loop of this flywheel has that name.",
    "unknown_event_type": "event_type is neither `exposure` nor an outcome that the loop declares.",
    "before_first_turn": "occurred_at lies before the first turn, or the first that FLYWHEEL_KEEP_TURNS has kept.",
    "future_timestamp": "{column} lies in the future.",
    "missing_variant": "An exposure must name the variant that was shown.",
    "unknown_subject": "Nothing was released for this subject in the turn, or in those that it reaches back to.",
    "unknown_variant": "No such variant was released for this subject in the turn.",
    "variant_of_another_subject": "The variant was released, but for another subject.",
    "unknown_release": "No release or decision has this release_id, or it is more than two weeks old: send "
    "what the outbox says, and read its newest file.",
    "variant_not_in_release": "The variant is not in the release that release_id names.",
    "release_of_another_subject": "release_id names a release of another subject.",
    "release_of_another_loop": "release_id names a release of another loop.",
    "negative_value": "value must not be negative.",
    "absurd_amount": "value is larger than any amount can be: the most is 1e12.",
    "bad_propensity": "propensity must lie in (0, 1], and not below 1e-9.",
    "junk_unit": "unit_id is what a program writes for nobody, such as null, undefined or anonymous: all such visitors "
    "would count as one.",
    "junk_key": "{column} is what a program writes where it has no value, such as null, NaN or undefined.",
    "event_id_reused": "Another event of the turn has this event_id: give each event its own.",
    "unknown_format": "No recipe of the loop writes such a format, in capitals or not; it has {column}.",
    "unknown_language": "{column} must be a language's ISO 639-1 code, or a value that the loop translates.",
    "unknown_candidate": "The loop has no such candidate.",
    "unknown_decision": "decision must be `approve`, `edit` or `reject`.",
    "unknown_target": "target must be `variant`, `candidate`, `release` or `subject`.",
    "nothing_to_withdraw": "The loop knows nothing of that target and identity that could come down.",
    "unknown_exclusion": "undoes names no exclusion of the loop.",
    "ends_before_it_starts": "excluded_until must lie after excluded_from.",
    "unknown_withdrawal": "undoes names no withdrawal of the loop.",
}


def told(reasons: Mapping[str, int]) -> str:
    """Counts by reason as one reads them, the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{reason} {rows:,}" for reason, rows in ordered)


def explained(problem: str) -> tuple[str, str]:
    """Reason code and sentence of a problem as it travels through SQL: `missing:unit_id` gives `missing_unit_id`."""
    code, _, column = problem.partition(":")
    sentence = SENTENCES[code].format(column=column or "The line")
    return (f"missing_{column}" if code == "missing" else code), sentence
