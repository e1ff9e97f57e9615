"""A wheel killed in the middle of a turn: run again, it has the rows of one left alone, and has paid for nothing twice.

Not here: every stage of ingestion (test_landing_crash) and of asking a model (test_language_model_cost).
"""

import pytest

from benchmarks.crash import Shop, differing, killed, killed_in_generation, rows_of
from orchestration.testing.loopback import Behaviour, Loopback, serve
from orchestration.testing.shop import copywriter

pytestmark = pytest.mark.timeout(600)

SUBJECTS, EXPOSURES = 9, 1_000


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Shop, Loopback]:
    """A wheel that is killed in the middle of produce and then runs it again, one left alone, and their endpoint."""
    with serve(Behaviour(text=copywriter, latency_s=0.02)) as server:
        shop = Shop(tmp_path_factory.mktemp("killed"), server.url, SUBJECTS, EXPOSURES).opened()
        killed_in_generation(shop, server, SUBJECTS // 2)
        shop.run("produce")
    with serve(Behaviour(text=copywriter, latency_s=0.02)) as undisturbed:
        calm = Shop(tmp_path_factory.mktemp("calm"), undisturbed.url, SUBJECTS, EXPOSURES).opened()
        calm.run("produce")
        assert undisturbed.counts.answered == server.counts.answered
    return shop, calm, server


def test_a_turn_killed_in_generation_is_produced_again_and_no_call_is_paid_for_twice(
    shops: tuple[Shop, Shop, Loopback],
) -> None:
    shop, calm, server = shops
    produced = rows_of(shop)
    assert len(produced["flywheel.candidates"]) == 2 * SUBJECTS
    assert differing(produced, rows_of(calm)) == []
    assert server.counts.answered.total() == 2 * SUBJECTS + 1  # one more to find out what the endpoint can do
    assert server.counts.paid_twice == []


def test_a_turn_killed_in_ingestion_and_in_writing_is_learned_again(shops: tuple[Shop, Shop, Loopback]) -> None:
    shop, calm, _ = shops
    for one in (shop, calm):
        one.play()

    for stage, events, exposures in (
        ("events written", False, False),
        ("exposures", True, False),
        ("promotions", True, True),
    ):
        killed(shop, "learn", stage)
        rows = rows_of(shop)
        assert bool(rows["flywheel.events"]) == events
        assert bool(rows["flywheel.exposures"]) == exposures
        assert rows["flywheel.promotions"] == []

    shop.run("learn")
    calm.run("learn")
    learned = rows_of(calm)
    assert 0 < len(learned["flywheel.exposures"]) <= EXPOSURES  # some come late
    assert len(learned["flywheel.promotions"]) == 1
    assert differing(rows_of(shop), learned) == []
