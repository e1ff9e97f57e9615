"""MLflow after a person was at it: what was deleted, moved or lost there changes no policy that is in force."""

import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest

from orchestration.graph.bound import BoundLoop
from orchestration.loops.content import declare as content
from orchestration.registry.champions import newest_version, policy_of, roll_back, standing_champion
from orchestration.registry.moved import RegistryError
from orchestration.registry.tracking import DATABASE, Tracking, Training
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import DuckDBWarehouse

MODEL, EXPERIMENT = "content-policy", "flywheel-content"
FIRST, SECOND = "2026-01-05", "2026-01-12"


class Home:
    """Version 1 produced the first turn, version 2 was promoted after it; MLflow and the warehouse know both."""

    def __init__(self, folder: Path) -> None:
        self.tracking = Tracking(folder, "http://127.0.0.1:5000")
        self.warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
        self.warned: list[str] = []

    def begin(self) -> None:
        for number, turn in (("1", FIRST), ("2", SECOND)):
            registered = self.register(turn, f"policy {number}")
            assert registered == number
        first, second = ({"loop": "content", "turn": date.fromisoformat(FIRST), "policy_version": v} for v in "12")
        kept = {"mlflow_run_id": "run"}
        self.add("champions", {**first, **kept, "policy": policy("policy 1")})
        self.add("challengers", {**second, **kept, "policy": policy("policy 2"), "trained_on": "[]", "rows": 1})
        decided = {"champion_before": "1", "challenger": "2", "champion_after": "2", "promoted": True, "reason": ""}
        self.add("promotions", {**first, **kept, **decided, "decided_at": datetime(2026, 1, 12)})
        self.tracking.set_champion("content", "2")

    def register(self, turn: str, seen: str, newest: int = 0) -> str:
        training = Training(turn, {"seen": seen}, {}, {})
        return self.tracking.register("content", policy(seen), training, None, newest=newest).version

    def add(self, name: str, row: dict[str, object]) -> None:
        table = TABLES[name]
        self.warehouse.append(table, table.frame([row | {column: row.get(column) for column in table.columns}]))

    def standing(self) -> tuple[str, str]:
        found = standing_champion(self.warehouse, self.tracking, "content", SECOND, self.warned.append)
        assert found is not None
        return found.version, found.policy


def policy(seen: str) -> str:
    loop = content()
    bound = BoundLoop.of(loop, Settings(_env_file=None))
    return loop.delivery.first(loop, bound.by_format).to_json() + " " * len(seen) * int(seen[-1])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun") / "home"
    Home(folder).begin()
    return folder


@pytest.fixture
def home(begun: Path, tmp_path: Path) -> Home:
    shutil.copytree(begun, tmp_path / "home")
    return Home(tmp_path / "home")


def nothing(home: Home) -> None:
    """As it is."""


def experiment_deleted(home: Home) -> None:
    client = home.tracking.client
    client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)


def runs_deleted(home: Home) -> None:
    for number in "12":
        home.tracking.client.delete_run(home.tracking.client.get_model_version(MODEL, number).run_id)


def model_deleted(home: Home) -> None:
    home.tracking.client.delete_registered_model(MODEL)


def version_deleted(home: Home) -> None:
    home.tracking.client.delete_model_version(MODEL, "2")


def alias_deleted(home: Home) -> None:
    home.tracking.client.delete_registered_model_alias(MODEL, "champion")


def alias_moved(home: Home) -> None:
    home.tracking.client.set_registered_model_alias(MODEL, "champion", "1")


def model_renamed(home: Home) -> None:
    home.tracking.client.rename_registered_model(MODEL, "mine")


def artifacts_gone(home: Home) -> None:
    shutil.rmtree(home.tracking.folder / "mlartifacts")


def database_gone(home: Home) -> None:
    (home.tracking.folder / DATABASE).unlink()


BY_HAND = (
    nothing, experiment_deleted, runs_deleted, model_deleted, version_deleted, alias_deleted, alias_moved,
    model_renamed, artifacts_gone, database_gone,
)  # fmt: skip


@pytest.mark.parametrize("by_hand", BY_HAND, ids=lambda change: change.__name__)
def test_the_champion_of_the_records_is_obeyed_and_learning_goes_on(
    home: Home, by_hand: Callable[[Home], None]
) -> None:
    by_hand(home)
    home = Home(home.tracking.folder)  # another process
    assert home.standing() == ("2", policy("policy 2"))
    known = newest_version(home.warehouse, "content")
    assert int(home.register("2026-01-19", "policy 3", newest=known)) > 2, "no number is given twice"
    assert home.tracking.client.get_experiment_by_name(EXPERIMENT).lifecycle_stage == "active"
    lost = by_hand in (model_deleted, version_deleted, model_renamed, database_gone)
    assert home.tracking.champion_alias("content") == (None if lost else "2")
    said = " ".join(home.warned)
    assert ("lost content-policy/2" in said) is lost
    assert ("points to 2 again" in said) is (by_hand in (alias_deleted, alias_moved))


def test_a_rollback_finds_its_policy_when_mlflow_has_lost_it(home: Home) -> None:
    model_deleted(home)
    assert roll_back(home.warehouse, home.tracking, "content", "complaints") == ("2", "1")


def test_a_policy_that_nobody_has_any_more_is_told_with_the_remedy(home: Home) -> None:
    with pytest.raises(LookupError, match=r"content-policy/7 is neither .* rollback content --to VERSION"):
        policy_of(home.warehouse, home.tracking, "content", "7")
    with home.warehouse.connect() as connection:
        connection.execute("update flywheel.challengers set policy = null")
    artifacts_gone(home)
    with pytest.raises(LookupError, match=r"not its artifact policy.json.* bring mlartifacts/ back"):
        home.standing()


def test_a_damaged_database_is_told_at_once_with_the_remedy(home: Home) -> None:
    (home.tracking.folder / DATABASE).write_bytes(b"not a database, " * 1000)
    with pytest.raises(RegistryError, match=r"mlflow.db in the home is damaged .*: move it away"):
        Home(home.tracking.folder).standing()


def test_a_home_that_was_moved_finds_its_artifacts_and_writes_none_elsewhere(home: Home, tmp_path: Path) -> None:
    import mlflow

    moved = tmp_path / "restored" / "else where" / "home"
    moved.parent.mkdir(parents=True)
    home.tracking.folder.rename(moved)
    home = Home(moved)
    assert home.tracking.version("content", "2").policy == policy("policy 2")
    assert mlflow.pyfunc.load_model("models:/content-policy@champion") is not None
    home.register("2026-01-19", "policy 3", newest=2)
    assert not (tmp_path / "home").exists()
    (experiment,) = home.tracking.client.search_experiments(filter_string=f"name = '{EXPERIMENT}'")
    assert experiment.artifact_location == (moved / "mlartifacts" / "content").as_uri()
