"""The simulated audience: labelled, reproducible, true to the release, and as messy as life."""

import ast
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.assignment import chosen, holdout_salt, in_holdout, point, subject_salt
from orchestration.guards import sense
from orchestration.settings import Settings
from orchestration.turns import Turn
from orchestration.worlds.event_files import Delivery
from orchestration.worlds.outbox import Offer, Variant, points
from orchestration.worlds.simulated import readers, visits
from orchestration.worlds.simulated.audience import Audience, nonsense, shouting, surface
from orchestration.worlds.simulated.sandbox import PlayReport, Sandbox

ROOT = Path(__file__).resolve().parent.parent
LABELS = ROOT / "tests" / "data" / "labelled_copy.ndjson"
TURN = Turn.of("2026-01-05", Settings(_env_file=None))
ORIGINAL = "Shredded cheese, 8 oz"
TEXTS = ("Enjoy fresh, creamy shredded cheese, ready when you are.", "WHAT A CHEESE!!! Grab it now!!!")
SHARES = (0.1, 0.6, 0.3)


def released(
    folder: Path, *, turn: Turn = TURN, subjects: int = 6, holdout: float = 0.1, changes: dict | None = None
) -> Path:
    """An outbox file as the flywheel writes it: the original and two rivals for each subject."""
    file = folder / "outbox" / "content" / f"{turn.key}.ndjson"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(subjects):
        subject = f"{number}-headline"
        variants = [
            {"variant_id": f"{subject}-{index}", "text": text, "share": share, "is_control": index == 0}
            for index, (text, share) in enumerate(zip((ORIGINAL, *TEXTS), SHARES, strict=True))
        ]
        offer = {
            "loop": "content",
            "turn": turn.key,
            "release_id": f"release-{number}",
            "subject_id": subject,
            "unit": "visitor",
            "category": "dairy" if number % 2 else "pantry",
            "holdout": {"share": holdout, "salt": holdout_salt("content")},
            "salt": subject_salt("content", subject),
            "variants": variants,
        }
        lines.append(json.dumps(offer | (changes or {})))
    file.write_text("\n".join(lines) + "\n")
    return file


def read(*files: Path) -> pl.DataFrame:
    return pl.concat(
        [
            pl.read_ndjson(file, schema_overrides={"value": pl.Float64, "propensity": pl.Float64}).with_columns(
                pl.col("occurred_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ")
            )
            for file in files
        ]
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[PlayReport, pl.DataFrame]:
    """One turn of 60,000 exposures, and its events, repeats dropped."""
    folder = tmp_path_factory.mktemp("world")
    box = Sandbox(seed=3, visitors=30_000, exposures_per_turn=60_000)
    report = box.play(released(folder), folder / "landing", TURN)
    return report, read(report.file, report.late_file).unique("event_id", maintain_order=True)


def first_exposures(events: pl.DataFrame) -> pl.DataFrame:
    exposures = events.filter(event_type="exposure").sort("occurred_at", "event_id")
    return exposures.unique(["unit_id", "subject_id"], keep="first", maintain_order=True)


def test_every_event_and_file_name_says_that_it_is_simulated(played: tuple[PlayReport, pl.DataFrame]) -> None:
    report, events = played
    assert events["simulated"].all()
    assert report.file.name.startswith("simulated-")
    assert report.late_file.name.lstrip(".").startswith("simulated-")


def test_a_held_out_unit_meets_only_originals(played: tuple[PlayReport, pl.DataFrame]) -> None:
    report, events = played
    exposures = events.filter(event_type="exposure").with_columns(
        held_out=pl.col("unit_id").map_elements(lambda unit: in_holdout("content", unit, 0.1), pl.Boolean)
    )
    held_out = exposures.filter("held_out")
    assert held_out["variant_id"].str.ends_with("-0").all()
    assert (held_out["propensity"] == 1).all()
    assert (exposures.filter(~pl.col("held_out"))["propensity"] < 1).all()
    assert len(held_out) == report.held_out
    assert 0.08 < len(held_out) / len(exposures) < 0.12


def test_units_meet_the_variant_that_the_release_assigns(played: tuple[PlayReport, pl.DataFrame]) -> None:
    _, events = played
    treated = first_exposures(events).filter(pl.col("propensity") < 1)
    assigned = [
        f"{subject}-{chosen(SHARES, point(subject_salt('content', subject), unit))}"
        for subject, unit in treated.select("subject_id", "unit_id").iter_rows()
    ]
    agree = (treated["variant_id"] == pl.Series(assigned)).mean()
    assert 0.99 < agree < 1, "all but the few who lost their cookie"


def test_traffic_follows_the_shares(played: tuple[PlayReport, pl.DataFrame]) -> None:
    from scipy.stats import chisquare

    _, events = played
    treated = first_exposures(events).filter(pl.col("propensity") < 1)
    counts = treated["variant_id"].str.slice(-1).value_counts(sort=False).sort("variant_id")["count"].to_numpy()
    assert chisquare(counts, counts.sum() * np.array(SHARES)).pvalue > 1e-4


def test_a_few_units_meet_two_variants(played: tuple[PlayReport, pl.DataFrame]) -> None:
    report, events = played
    per_pair = events.filter(event_type="exposure").group_by("unit_id", "subject_id").agg(pl.n_unique("variant_id"))
    assert 0 < report.two_variants == (per_pair["variant_id"] > 1).sum() < 0.005 * len(per_pair)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any), st.integers(0, 10_000))
def test_many_units_are_assigned_as_one_is(weights: list[int], unit: int) -> None:
    shares = [weight / sum(weights) for weight in weights]
    variants = tuple(Variant(str(index), "", share, index == 0) for index, share in enumerate(shares))
    offer = Offer("content", "s", "visitor", "", "salt", "holdout", 0.1, variants, 0)
    at = np.append(points("salt", [f"visitor-{unit}"]), [0.0, 1 - 2**-53, *np.cumsum(shares)[:-1].clip(0, 1 - 2**-53)])
    assert offer.variant_at(at).tolist() == [chosen(shares, each) for each in at]


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, file_format: str) -> None:
    def bytes_of(seed: int, home: str) -> tuple[bytes, bytes]:
        box = Sandbox(seed, visitors=500, exposures_per_turn=2_000, file_format=file_format)  # type: ignore[arg-type]
        report = box.play(released(tmp_path), tmp_path / home, TURN)
        return report.file.read_bytes(), report.late_file.read_bytes()

    assert bytes_of(1, "a") == bytes_of(1, "b") != bytes_of(2, "c")


def test_a_turn_played_again_writes_the_same_file_over_itself(tmp_path: Path) -> None:
    box = Sandbox(1, visitors=500, exposures_per_turn=2_000)
    first = box.play(released(tmp_path), tmp_path / "landing", TURN)
    before = first.file.read_bytes()
    box.land_late(tmp_path / "landing", "content")
    again = box.play(released(tmp_path), tmp_path / "landing", TURN)
    assert again.file.read_bytes() == before
    assert sorted(path.name for path in first.file.parent.iterdir()) == [
        "simulated-content-2026-01-05-late.ndjson",
        "simulated-content-2026-01-05.ndjson",
    ]


def test_repeated_events_share_their_identity_and_everything_else(tmp_path: Path) -> None:
    box = Sandbox(1, visitors=2_000, exposures_per_turn=10_000)
    report = box.play(released(tmp_path), tmp_path / "landing", TURN)
    rows = read(report.file, report.late_file)
    assert rows["event_id"].n_unique() + report.duplicates == len(rows) == report.file_rows + report.late_rows
    assert len(rows.unique()) == rows["event_id"].n_unique()
    assert 0.005 < report.duplicates / len(rows) < 0.03


def test_what_is_late_waits_unseen_and_lands_with_the_next_turn(tmp_path: Path) -> None:
    box = Sandbox(1, visitors=20_000, exposures_per_turn=40_000)
    first = box.play(released(tmp_path), tmp_path / "landing", TURN)
    assert first.late_file.name.startswith("."), "ingestion ignores it"
    second = box.play(released(tmp_path, turn=TURN.next()), tmp_path / "landing", TURN.next())
    landed = first.late_file.with_name(first.late_file.name.lstrip("."))
    assert landed.exists()
    assert not first.late_file.exists()
    assert second.late_file.exists()
    late = read(landed)
    assert (late["occurred_at"] < TURN.end.replace(tzinfo=None)).any(), "delayed on its way"
    assert (late["occurred_at"] >= TURN.end.replace(tzinfo=None)).any(), "happened after the turn"
    assert late.filter(event_type="exposure")["occurred_at"].max() < TURN.end.replace(tzinfo=None)
    on_time = read(first.file)
    assert on_time["occurred_at"].is_between(TURN.start.replace(tzinfo=None), TURN.end.replace(tzinfo=None)).all()
    assert not on_time["occurred_at"].is_sorted(), "rows arrive out of order"


def test_late_files_can_be_landed_on_demand(tmp_path: Path) -> None:
    report = Sandbox(1, visitors=500, exposures_per_turn=2_000).play(released(tmp_path), tmp_path / "landing", TURN)
    (landed,) = Sandbox.land_late(tmp_path / "landing", "content")
    assert landed.name == report.late_file.name.lstrip(".")
    assert Sandbox.land_late(tmp_path / "landing", "content") == []


def test_outcomes_follow_an_exposure_within_their_windows(played: tuple[PlayReport, pl.DataFrame]) -> None:
    report, events = played
    seen = first_exposures(events).select("unit_id", "subject_id", seen="occurred_at")
    for outcome, days in (("click", 1), ("purchase", 7), ("complaint", 7)):
        rows = events.filter(event_type=outcome)
        assert len(rows) == report.outcomes[outcome] > 0
        assert not rows.select("unit_id", "subject_id").is_duplicated().any()
        wait = rows.join(seen, on=["unit_id", "subject_id"], how="left").select(pl.col("occurred_at") - pl.col("seen"))
        assert wait.null_count().item() == 0
        assert wait.to_series().is_between(pl.duration(), pl.duration(days=days), closed="none").all()
    purchases = events.filter(event_type="purchase")
    assert (purchases["value"] > 0).all()
    assert purchases["variant_id"].is_null().all(), "a shop's till does not know the variant"
    assert events.filter(pl.col("event_type") != "purchase")["value"].is_null().all()


def test_an_indifferent_world_clicks_alike_on_every_text(tmp_path: Path) -> None:
    from scipy.stats import chi2_contingency

    box = Sandbox(3, visitors=30_000, exposures_per_turn=60_000, world="indifferent")
    report = box.play(released(tmp_path), tmp_path / "landing", TURN)
    assert report.true_lift == 0
    events = read(report.file, report.late_file).unique("event_id")
    clicked = events.filter(event_type="click").select("unit_id", "subject_id", clicked=pl.lit(1))
    met = first_exposures(events).join(clicked, on=["unit_id", "subject_id"], how="left")
    table = met.group_by(pl.col("variant_id").str.slice(-1)).agg(pl.sum("clicked"), n=pl.len())
    assert chi2_contingency(table.select("clicked", pl.col("n") - pl.col("clicked")).to_numpy()).pvalue > 1e-3


def test_a_responsive_world_rewards_texts_as_its_truth_says(tmp_path: Path) -> None:
    box = Sandbox(5, visitors=100_000, exposures_per_turn=250_000, file_format="parquet")
    report = box.play(released(tmp_path, holdout=0.3), tmp_path / "landing", TURN)
    events = pl.concat([pl.read_parquet(report.file), pl.read_parquet(report.late_file)]).unique("event_id")
    clicked = events.filter(event_type="click").select("unit_id", "subject_id", clicked=pl.lit(1))
    met = first_exposures(events).join(clicked, on=["unit_id", "subject_id"], how="left")
    rates = met.group_by(held_out=pl.col("propensity") == 1).agg(rate=pl.col("clicked").sum() / pl.len(), n=pl.len())
    (_, treated, _), (_, control, held_out) = rates.sort("held_out").iter_rows()
    standard_error = 1.3 / np.sqrt(control * held_out)
    assert abs(report.true_lift) > 0.02
    assert abs(np.log(treated / control) - report.true_lift) < 4 * standard_error


def test_shouting_brings_complaints() -> None:
    audience = Audience(1)
    assert shouting(ORIGINAL) == shouting("Lovely cheese!") == 0
    assert audience.complaint_rate("CHEESE NOW!!!", ORIGINAL) > 5 * audience.complaint_rate(ORIGINAL, ORIGINAL)
    assert Audience(1, "indifferent").complaint_rate("CHEESE NOW!!!", ORIGINAL) == audience.complaint_rate(
        ORIGINAL, ORIGINAL
    )


def test_readers_dislike_nonsense_by_labels_that_the_guard_has_not_seen() -> None:
    rows = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    seen_by_the_guard = [row for row in rows if row["split"] == "train" and not row["lever"].startswith("stand-in")]
    displeasure = {
        label: np.mean([nonsense(row["text"], row["original"]) for row in seen_by_the_guard if row["label"] == label])
        for label in ("wrong", "publishable")
    }
    assert displeasure["wrong"] > 0.2, "the rule was fitted on other products, and holds here"
    assert displeasure["publishable"] < displeasure["wrong"] / 2
    text = (
        "Cheese, anyone? One quick bite, it's easy, and it's a treat that the whole table can't get without any cheese!"
    )
    audience, listing = Audience(1), "Shredded cheese, 8 oz"
    assert nonsense(text, listing) > 0.5
    assert audience.complaint_rate(text, listing) > 1.5 * audience.complaint_rate(listing, listing)
    assert nonsense(listing, listing) == 0


def test_the_readers_and_the_guard_know_nothing_of_each_other() -> None:
    assert "guards" not in Path(readers.__file__).read_text(encoding="utf-8").split('"""', 2)[2]
    assert "simulated" not in Path(sense.__file__).read_text(encoding="utf-8")


def test_tastes_differ_by_category_and_segment_and_stay_unless_they_drift() -> None:
    def effect(audience: Audience, category: str = "dairy", segment: str = "new", day: int = 739_000) -> float:
        text = "Is your cheese creamy enough?"
        return audience.effect(text, ORIGINAL, subject_id="1", category=category, segment=segment, day=day)

    still, drifting = Audience(1), Audience(1, drift=0.1)
    assert len({effect(still), effect(still, category="pantry"), effect(still, segment="loyal")}) == 3
    assert effect(still) == effect(still, day=739_700)
    assert effect(drifting) != effect(drifting, day=739_700)
    assert effect(Audience(1, "indifferent")) == 0
    assert still.effect(ORIGINAL, ORIGINAL, subject_id="1", category="dairy", segment="new", day=739_000) == 0


@given(st.text(max_size=300))
def test_any_text_has_a_surface(text: str) -> None:
    assert ((surface(text) >= 0) & (surface(text) <= 1)).all()
    assert 0 <= shouting(text) <= 1


def test_a_large_turn_is_worked_on_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "CHUNK", 3_000)
    box = Sandbox(1, visitors=4_000, exposures_per_turn=10_000, file_format="parquet")
    report = box.play(released(tmp_path), tmp_path / "landing", TURN)
    events = pl.concat([pl.read_parquet(report.file), pl.read_parquet(report.late_file)])
    assert events["event_id"].n_unique() + report.duplicates == len(events)
    assert events.filter(event_type="exposure")["event_id"].n_unique() == report.exposures == 10_000
    assert events["unit_id"].n_unique() > 2_000
    assert [path.name for path in report.file.parent.glob("*.partial")] == []


def test_punctual_delivery_repeats_and_delays_nothing(tmp_path: Path) -> None:
    box = Sandbox(1, visitors=500, exposures_per_turn=2_000, delivery=Delivery(duplicated=0, delayed=0))
    report = box.play(released(tmp_path), tmp_path / "landing", TURN)
    assert report.duplicates == 0
    assert report.file_rows + report.late_rows == report.exposures + sum(report.outcomes.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"turn": "2026-01-12"}, "line 1 belongs to turn 2026-01-12"),
        ({"variants": [{"variant_id": "v", "text": "t", "share": 1, "is_control": False}]}, "0 controls"),
        ({"variants": [{"variant_id": "v", "text": "t", "share": 0.9, "is_control": True}]}, "sum to 1, not 0.9"),
        ({"subject_id": "same"}, "names a subject twice"),
    ],
)
def test_an_outbox_that_cannot_be_served_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sandbox(1).play(released(tmp_path, changes=changes), tmp_path / "landing", TURN)


def test_a_turn_without_a_release_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`produce` for turn 2026-01-05"):
        Sandbox(1).play(tmp_path / "none.ndjson", tmp_path / "landing", TURN)


def test_an_empty_outbox_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty.ndjson").touch()
    with pytest.raises(ValueError, match="no subject was released"):
        Sandbox(1).play(tmp_path / "empty.ndjson", tmp_path / "landing", TURN)


def test_no_code_of_the_graph_knows_a_world() -> None:
    """The rooms `worlds` and `testing` do, and the commands that play one."""
    rooms = {"worlds", "testing"}
    graph = [path for path in (ROOT / "orchestration").rglob("*.py") if not rooms & {*path.parts}]
    outside = [ROOT / "orchestration" / name for name in ("cli.py", "commands/demo.py", "commands/replay.py")]
    for path in (path for path in graph if path not in outside):
        for node in ast.walk(ast.parse(path.read_text())):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith("orchestration.worlds") for name in named), path
