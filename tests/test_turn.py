"""Turns of the whole wheel in one process: what a user sees happen, told as examples."""

import json
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.commands.lineage import leaves, trace
from orchestration.commands.reviewing import land_decision, waiting
from orchestration.graph.assets.figures import LOWER_BOUND
from orchestration.graph.driver import TurnFailedError
from orchestration.loops.content import declare as content
from orchestration.model.language_model import LanguageModel
from orchestration.settings import Settings
from orchestration.testing.command_lines import Terminal, faults_of, lay_files, silly_lines, state_of
from orchestration.testing.loopback import Behaviour, serve
from orchestration.testing.shop import FIRST, SECOND, Wheel, copywriter


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """Two turns against a loopback endpoint: a real client, real HTTP, a real warehouse, a simulated audience."""
    home = tmp_path_factory.mktemp("turned")
    with serve(Behaviour(text=copywriter)) as server:
        settings = Settings(
            home=home, openai_base_url=server.url, model="loopback", openai_api_key="test-key-of-no-one"
        )
        wheel = Wheel(home, model=LanguageModel(settings))
        wheel.turn(FIRST)
        wheel.turn(SECOND)
        assert not server.counts.paid_twice
    return wheel


def test_a_turn_ends_with_kpis_evidence_and_a_decision(turned: Wheel) -> None:
    decisions = turned.table("promotions")
    assert decisions["turn"].cast(pl.String).to_list() == [FIRST, SECOND]
    assert decisions["reason"].str.len_chars().min() > 20
    assert turned.table("promotion_conditions").filter(pl.col("turn").cast(pl.String) == SECOND).height >= 4
    momentum = turned.table("momentum")
    assert momentum["simulated"].all()
    assert (momentum["lift_low"] <= momentum["lift"]).all()
    assert (momentum["lift"] <= momentum["lift_high"]).all()


def test_every_call_of_a_turn_is_a_trace_in_mlflow_without_the_key(turned: Wheel) -> None:
    from orchestration.registry.tracking import Tracking

    client = Tracking(turned.settings.root, "").client
    experiment = client.get_experiment_by_name("flywheel-content")
    found = client.search_traces([experiment.experiment_id], max_results=500)
    made = turned.table("llm_calls").filter(~pl.col("cache_hit"))
    assert {trace.info.tags["call_id"] for trace in found} == set(made["call_id"])
    assert sum(trace.info.token_usage["total_tokens"] for trace in found) == sum(
        made["input_tokens"] + made["output_tokens"]
    )
    assert all(trace.data.spans[0].outputs["text"] for trace in found if trace.info.tags["status"] == "ok")
    assert not any("test-key-of-no-one" in trace.to_json() for trace in found)


def test_the_next_turn_starts_from_the_registry_version_that_the_last_one_wrote(turned: Wheel) -> None:
    import dagster as dg

    with turned.flywheel._instance() as instance:
        registry = instance.get_latest_materialization_event(dg.AssetKey("model_registry"))
        heads = instance.fetch_materializations(dg.AssetKey(["content", "champion"]), limit=10).records
        written = instance.fetch_materializations(dg.AssetKey("model_registry"), limit=10).records
    by_turn = {record.partition_key: record.asset_materialization for record in heads}
    first_decision = min(written, key=lambda record: record.storage_id)
    tags = by_turn[SECOND].tags
    assert registry is not None
    assert (
        tags["dagster/input_data_version/model_registry"]
        == first_decision.asset_materialization.tags["dagster/data_version"]
    )
    assert tags["dagster/input_event_pointer/model_registry"] == str(first_decision.storage_id)
    after = turned.table("promotions")["champion_after"][0]
    assert first_decision.asset_materialization.tags["dagster/data_version"] == f"content-policy/{after}"
    assert turned.table("champions")["policy_version"].to_list()[1] == after


def test_producing_a_released_turn_again_changes_nothing_and_says_so(turned: Wheel) -> None:
    tables = ("champions", "subjects", "briefs", "candidates", "llm_calls", "verdicts", "reviews", "releases")
    before = {name: turned.table(name) for name in tables}
    item = turned.outbox(FIRST).read_bytes()
    turned.told.clear()
    turned.produce(FIRST)
    assert {name: turned.table(name).equals(rows) for name, rows in before.items()} == dict.fromkeys(tables, True)
    assert turned.outbox(FIRST).read_bytes() == item
    assert any("released already" in line for line in turned.told)


def test_a_released_item_tells_how_to_serve_it_and_where_it_came_from(turned: Wheel) -> None:
    for item in turned.released_items(SECOND):
        variants = item["variants"]
        assert sum(variant["share"] for variant in variants) == pytest.approx(1)
        assert [variant["is_control"] for variant in variants].count(True) == 1
        assert min(variant["share"] for variant in variants) >= 0.02 - 1e-9
        for variant in variants:
            if variant["is_control"]:
                assert variant["disclosure"] is None
            else:
                assert variant["disclosure"].startswith("Written by an AI model (loopback)")
                assert {"candidate_id", "recipe_id", "prompt_version", "seed"} <= set(variant["provenance"])


def test_what_passed_goes_out_and_what_was_blocked_does_not(turned: Wheel) -> None:
    released = set(turned.table("releases")["candidate_id"].drop_nulls())
    decisions = dict(turned.table("reviews").select("candidate_id", "decision").iter_rows())
    assert released
    assert {decisions[candidate] for candidate in released} <= {"publish", "approve", "edit"}


def test_every_unit_of_the_holdout_met_the_control(turned: Wheel) -> None:
    held = turned.table("exposures").filter("in_holdout")
    assert held.height > 50
    assert held["is_control"].all()
    assert (held["propensity"] == 1).all()


def test_no_identifier_of_a_visitor_is_stored(turned: Wheel) -> None:
    landed = next(turned.settings.landing.glob("events/*.ndjson"))
    raw = {json.loads(line)["unit_id"] for line in landed.read_text().splitlines()}
    stored = set(turned.table("events")["unit_id"])
    assert stored
    assert not raw & stored


def test_no_secret_is_in_the_home(turned: Wheel) -> None:
    secrets = (b"test-key-of-no-one", b"k" * 32)
    for path in turned.home.rglob("*"):
        if path.is_file() and path.name != "pseudonym.key":
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path.name


@pytest.mark.parametrize("what", ["exposure", "variant", "kpi", "policy"])
def test_the_chain_behind_anything_reaches_prompt_model_and_training_turns(turned: Wheel, what: str) -> None:
    treated = turned.table("exposures").filter(~pl.col("is_control") & (pl.col("turn").cast(pl.String) == SECOND))
    identity = {
        "exposure": treated["exposure_id"][0],
        "variant": treated["variant_id"][0],
        "kpi": f"momentum/content/{SECOND}",
        "policy": f"content-policy/{turned.table('challengers')['policy_version'][0]}",
    }[what]
    chain = trace(turned.warehouse, identity)
    named = " | ".join(leaves(chain))
    assert "policy content-policy/" in named
    text = str(chain)
    if what != "policy":
        assert "content-headline" in text or "content-description" in text or "content-social" in text
        assert "loopback" in text
    if what == "policy":
        assert FIRST in text


def test_a_late_event_changes_the_turn_it_belongs_to_and_no_release(turned: Wheel) -> None:
    before, decided = turned.table("releases"), turned.table("promotions")
    counted = turned.table("turn_kpis").filter(pl.col("turn").cast(pl.String) == FIRST)["exposures"].sum()
    assert turned.sandbox.land_late(turned.settings.landing, "content") or any(
        "late" in path.name for path in turned.settings.landing.glob("events/*")
    )
    turned.flywheel.ingest()
    turned.flywheel.learn(FIRST)
    turned.flywheel.learn(SECOND)
    after = turned.table("turn_kpis").filter(pl.col("turn").cast(pl.String) == FIRST)["exposures"].sum()
    assert after >= counted
    assert turned.table("releases").equals(before)
    records = turned.table("promotions")
    assert set(decided.rows()) <= set(records.rows()), "what was decided before stands as it was"
    late = records.filter(pl.col("because") == "late events")
    assert late.filter(turn=pl.lit(FIRST).str.to_date())["took_effect"].to_list() in ([], [False])
    for turn, of_turn in records.group_by("turn"):
        assert of_turn["champion_before"].n_unique() == 1, f"{turn} was judged against the champion of its time"


def test_a_person_decides_on_what_was_flagged_and_the_next_turn_obeys(tmp_path: Path) -> None:
    answers = {"content": "Loved by Gordon Ramsay: a name that no fact holds."}
    with serve(Behaviour(text=lambda _: answers["content"])) as server:
        settings = Settings(home=tmp_path, openai_base_url=server.url, model="loopback")
        wheel = Wheel(tmp_path, model=LanguageModel(settings), products=3)
        wheel.produce(FIRST)
        queue = waiting(wheel.warehouse)
        assert queue
        assert all("Gordon Ramsay" in row["reason"] for row in queue)
        chosen, refused = queue[0]["candidate_id"], queue[1]["candidate_id"]
        decide = partial(land_decision, wheel.warehouse, wheel.landing, loops={"content": content()}, reviewer="r1")
        decide(chosen, "edit", text="A plain text that a person wrote.")
        decide(refused, "reject", reason="not ours")
        wheel.play(FIRST)
        wheel.flywheel.learn(FIRST)
        wheel.produce(SECOND)
    released = wheel.table("releases").filter(pl.col("candidate_id") == chosen)
    assert released["text"].to_list() == ["A plain text that a person wrote."]
    assert wheel.table("releases").filter(pl.col("candidate_id") == refused).is_empty()
    assert "r1" not in set(wheel.table("landed_reviews")["reviewer"])


def test_an_endpoint_that_dies_mid_turn_leaves_statuses_and_the_turn_goes_on(tmp_path: Path) -> None:
    with serve(Behaviour(text=copywriter, dies_after=6)) as server:
        settings = Settings(
            home=tmp_path, openai_base_url=server.url, model="loopback", max_retries=0, max_concurrency=2
        )
        wheel = Wheel(tmp_path, model=LanguageModel(settings))
        wheel.produce(FIRST)
    statuses = dict(wheel.table("candidates")["status"].value_counts().iter_rows())
    assert statuses["ok"] >= 4
    assert sum(statuses.values()) == wheel.table("briefs").height
    assert set(statuses) - {"ok"}
    assert wheel.table("candidates").filter(pl.col("status") != "ok")["error"].null_count() == 0


def test_an_endpoint_that_never_answers_stops_the_turn_with_the_reason(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, openai_base_url="http://127.0.0.1:9/v1", model="away", max_retries=0)
    wheel = Wheel(tmp_path, model=LanguageModel(settings), products=3)
    with pytest.raises(TurnFailedError, match="None of 6 briefs was answered"):
        wheel.produce(FIRST)
    assert wheel.table("releases").is_empty()


def test_without_anything_landed_the_error_names_the_columns(tmp_path: Path) -> None:
    wheel = Wheel(tmp_path)
    with pytest.raises(TurnFailedError, match="landing/content/subjects"):
        wheel.flywheel.produce(FIRST)


def test_a_refused_file_is_named_and_stops_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = Wheel(tmp_path, products=3)
    wheel.land_catalogue()
    wheel.landing.write("subjects", "content", [{"sku": "1", "name": "tea"}], "renamed-columns")
    (wheel.settings.landing / "events").mkdir()
    (wheel.settings.landing / "events" / "new.csv").write_text("a,b\n1,2\n")
    (wheel.settings.landing / "event").mkdir()
    (wheel.settings.landing / "event" / "mislaid.csv").write_text("a,b\n1,2\n")

    monkeypatch.setenv("FLYWHEEL_HOME", str(wheel.settings.home))
    monkeypatch.setenv("FLYWHEEL_FIRST_TURN", FIRST)
    said = CliRunner().invoke(app, ["ingest"])

    assert said.exit_code == 1
    assert "2 landed files were refused" in said.output
    assert "content/subjects/renamed-columns.ndjson misses the columns" in said.output
    assert "events/new.csv misses the columns" in said.output
    assert "(found: a, b)" in said.output
    assert "landing/events/ was probably meant" in said.output
    assert wheel.table("landed_subjects").height == 3


def test_learning_stops_where_all_outcomes_of_a_type_are_refused_and_goes_on_once_they_are_mended(
    turned: Wheel,
) -> None:
    item = turned.released_items(SECOND)[0]
    clicks = [
        {
            "event_id": f"refused-{number}", "event_type": "click", "loop": "content", "unit_id": f"reader-{number}",
            "subject_id": item["subject_id"], "variant_id": None, "occurred_at": "12/01/2026 10:00", "simulated": True,
        }
        for number in range(2_000)
    ]  # fmt: skip
    turned.landing.write("events", None, clicks, "clicks-of-another-clock")
    with pytest.raises(TurnFailedError, match=r"few_refused|content click") as stopped:
        turned.flywheel.learn(SECOND)
    assert "content click: 2,000 of " in str(stopped.value) + str(stopped.value.refused_by)
    assert "mostly ambiguous_date, as in landing/events/clicks-of-another-clock.ndjson" in str(stopped.value.refused_by)
    assert any("2,000 quarantined (ambiguous_date 2,000)" in line for line in turned.told)

    mended = [click | {"occurred_at": f"{SECOND}T10:00:00Z"} for click in clicks]
    turned.landing.write("events", None, mended, "clicks-mended")
    turned.flywheel.learn(SECOND)


def test_variants_are_held_against_the_control_with_what_units_did_before_taken_out(turned: Wheel) -> None:
    moments = turned.table("pre_period_moments").with_columns(pl.col("turn").cast(pl.String))
    assert moments.filter(pl.col("turn") == FIRST)["x"].sum() == 0  # nothing lies before the first turn
    assert moments.filter(pl.col("turn") == SECOND)["x"].sum() > 0
    import dagster as dg

    with turned.flywheel._instance() as instance:
        decided = instance.fetch_materializations(dg.AssetKey(["content", "promotion"]), limit=1).records[0]
        checks = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(["content", "promotion"]), "lower_bound"), limit=5
        )
    assert "CUPED" in decided.asset_materialization.metadata["variants_over_control"].value
    assert len(checks) >= 2


def test_runs_of_the_terminal_are_recorded_as_the_overview_of_the_ui_looks_for_them(turned: Wheel) -> None:
    with turned.flywheel._instance() as instance:
        runs = instance.get_runs()
    found = {(run.job_name, run.tags["dagster/partition"]) for run in runs if "dagster/partition" in run.tags}
    assert {(job, turn) for job in ("produce", "learn") for turn in (FIRST, SECOND)} <= found
    for run in runs:
        assert run.remote_job_origin.job_name == run.job_name
        assert run.remote_job_origin.location_name == "flywheel"
        assert run.tags[".dagster/repository"] == "__repository__@flywheel"
        assert run.tags["flywheel/half"] == run.job_name


def test_every_silly_argument_of_every_command_is_refused_in_a_sentence_and_changes_nothing(
    turned: Wheel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLYWHEEL_HOME", str(turned.home))
    monkeypatch.setenv("FLYWHEEL_PSEUDONYM_KEY", "k" * 32)
    files, terminal, wrong = lay_files(tmp_path), Terminal(), []
    before = state_of(turned.home)
    with turned.warehouse.kept():  # opening it for each line would take most of the time
        for line in silly_lines(files):
            exit_code, output = terminal.run(line)
            if faults := faults_of(exit_code, output):
                wrong.append(f"{[word[:60] for word in line]}: {', '.join(faults)}; {output[:300]}")
    assert not wrong, "\n".join(wrong)
    assert state_of(turned.home) == before


def test_the_figures_of_a_turn_are_numbers_where_people_look_so_that_the_ui_plots_them(turned: Wheel) -> None:
    import dagster as dg

    wanted = {
        "momentum": ("content: lift (%)", "content: lift, lower bound (%)", "content: lift, upper bound (%)"),
        "content/promotion": ("lift (%)", "lift, lower bound (%)", "condition lower_bound", "condition minimum_sample"),
        "content/comparison": (LOWER_BOUND, "units compared", "subjects compared"),
        "content/candidates": ("spend (US dollars)", "spend (tokens)", "answered", "without an answer"),
        "content/reviews": ("published", "blocked", "queue: wait for a person"),
        "content/subjects": ("waiting",),
        "events": ("rows: exposure", "rows: click"),
    }
    with turned.flywheel._instance() as instance:
        for asset, names in wanted.items():
            records = instance.fetch_materializations(
                dg.AssetRecordsFilter(dg.AssetKey(asset.split("/")), asset_partitions=[SECOND]), limit=1
            ).records
            metadata = records[0].asset_materialization.metadata
            numbers = {name: entry.value for name, entry in metadata.items() if isinstance(entry.value, int | float)}
            assert set(names) <= set(numbers), asset
        checks = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(["content", "promotion"]), "sample_ratio"), limit=1
        )
    momentum = turned.table("momentum").filter(pl.col("turn").cast(pl.String) == SECOND)
    assert momentum.height == 1
    said = checks[0].event.dagster_event.event_specific_data.metadata
    assert isinstance(said["measured"].value, float)
    assert said["limit"].value == 0.001
    assert said["needed"].value == "at least 0.001"
