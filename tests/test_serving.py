"""One file in Python and one in JavaScript serve what was released, and agree with the rule that ingestion checks."""

import json
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from orchestration import serving
from orchestration.assignment import chosen, holdout_salt, in_holdout, point, subject_salt
from orchestration.serving import flywheel_serving

FOLDER = Path(serving.__file__).parent
VECTORS = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
UNITS = ["visitor-1", "visitor-2", "Ärger", "用户-7", "🛒", *(f"v{number}" for number in range(60))]
SHARES = {"control": 0.2, "a": 0.5, "b": 0.3}
SCRIPT = """
import { readFileSync } from "node:fs";
import { exposure, point, readReleases, serve } from "./flywheel-serving.mjs";
const { points, items, units } = JSON.parse(readFileSync(0, "utf8"));
const releases = readReleases(items);
const served = [];
for (const item of releases.values()) for (const unit of units) {
  const one = await serve(item, unit);
  served.push([one.subject_id, unit, one.variant.variant_id, one.in_holdout, one.text, await exposure(one)]);
}
const refused = await serve(releases.values().next().value, 7).catch((fault) => fault.message);
const reached = await Promise.all(points.map((each) => point(each.salt, each.unit)));
console.log(JSON.stringify({ points: reached, served, refused }));
"""


def shared_item(subject: str) -> dict:
    variants = [
        {"variant_id": name, "text": f"{name} of {subject}", "share": share, "is_control": name == "control"}
        for name, share in SHARES.items()
    ]
    holdout = {"share": 0.3, "salt": holdout_salt("content")}
    about = {"loop": "content", "turn": "2026-01-05", "subject_id": subject, "release_id": f"release of {subject}"}
    return {
        **about,
        "unit": "visitor",
        "salt": subject_salt("content", subject),
        "holdout": holdout,
        "variants": variants,
    }


ANSWER = {
    "loop": "support",
    "turn": "2026-01-05",
    "subject_id": "ticket-1",
    "decision_id": "decision-1",
    "variant_id": "reply-1",
    "in_holdout": False,
    "deliver": "answer",
    "text": "Restart it.",
    "answer": {"reply": "Restart it."},
}
ITEMS = "".join(json.dumps(item) + "\n" for item in (shared_item("p-1"), shared_item("größe 2"), ANSWER))


@pytest.fixture(scope="module")
def by_javascript() -> dict:
    given = json.dumps({"points": VECTORS["points"], "items": ITEMS, "units": UNITS})
    ran = subprocess.run(
        ["node", "--input-type=module", "--eval", SCRIPT], input=given, cwd=FOLDER, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_vectors_are_what_ingestion_reckons_with():
    assert [point(each["salt"], each["unit"]) for each in VECTORS["points"]] == [
        each["point"] for each in VECTORS["points"]
    ]
    assert [chosen(each["shares"], point(each["salt"], each["unit"])) for each in VECTORS["choices"]] == [
        each["index"] for each in VECTORS["choices"]
    ]


def test_both_files_take_a_unit_to_the_same_point(by_javascript):
    expected = [each["point"] for each in VECTORS["points"]]
    assert [flywheel_serving.point(each["salt"], each["unit"]) for each in VECTORS["points"]] == expected
    assert by_javascript["points"] == expected


def test_both_files_serve_the_variant_that_ingestion_expects(tmp_path, by_javascript):
    (tmp_path / "turn.ndjson").write_text(ITEMS, encoding="utf-8")
    releases = flywheel_serving.read_releases(tmp_path / "turn.ndjson")
    served = [flywheel_serving.serve(item, unit) for item in releases.values() for unit in UNITS]
    assert [[one.subject_id, one.unit, one.variant["variant_id"], one.in_holdout, one.text] for one in served] == [
        each[:5] for each in by_javascript["served"]
    ]
    for one in served:
        if one.decision_id is None:
            held_out = in_holdout("content", one.unit, 0.3)
            free = list(SHARES)[chosen(list(SHARES.values()), point(subject_salt("content", one.subject_id), one.unit))]
            assert (one.in_holdout, one.variant["variant_id"]) == (held_out, "control" if held_out else free)
    assert {one.variant["variant_id"] for one in served} == {"control", "a", "b", "reply-1"}


def test_both_files_log_the_same_exposure_with_what_it_was_served_from(by_javascript):
    item = json.loads(ITEMS.splitlines()[0])
    ours = flywheel_serving.serve(item, UNITS[0]).exposure()
    theirs = by_javascript["served"][0][5]
    assert {**ours, "event_id": "", "occurred_at": ""} == {**theirs, "event_id": "", "occurred_at": ""}
    assert ours["release_id"] == "release of p-1"
    for event in (ours, theirs):
        assert datetime.fromisoformat(event["occurred_at"]).utcoffset().total_seconds() == 0
    assert by_javascript["served"][-1][5]["decision_id"] == "decision-1"


@pytest.mark.parametrize("unit", ["", "  ", 7, None])
def test_an_identifier_that_is_nobodys_own_is_refused(unit, by_javascript):
    with pytest.raises(ValueError, match="a text of its own"):
        flywheel_serving.serve(json.loads(ITEMS.splitlines()[0]), unit)
    assert "a text of its own" in by_javascript["refused"]
