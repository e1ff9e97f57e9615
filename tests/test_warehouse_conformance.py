"""Every statement of the project means the same on both engines: the same rows in, the same rows out.

Statements are found in the sources, so that a new one is held to it without being listed here. Those of intake are
not among them: DuckDB runs them everywhere.
"""

import ast
import importlib
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.commands.report import turn_lines
from orchestration.graph.assets.kpis import preview
from orchestration.tables import TABLES, Table
from orchestration.testing.postgres import PostgresServer
from orchestration.warehouse.dbt_project import manifest_path
from orchestration.warehouse.dialect import UntranslatableError, translated
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.warehouse.postgres import PostgresWarehouse
from orchestration.warehouse.protocol import Query, StatementError, Warehouse
from orchestration.warehouse.suites import Suite, read_suites

ROOT = Path(__file__).resolve().parent.parent / "orchestration"
NOT_HERE = ("landing", "testing", "warehouse", "model", "worlds", "sandbox")
"""Rooms whose SQL is not for the warehouse, or for one engine alone."""
TURNS = (date(2026, 1, 5), date(2026, 1, 12), date(2026, 1, 19))
ROWS = 150
GIVEN: Mapping[str, Any] = {
    "turn": "2026-01-12", "until": "2026-01-19", "loop": "content", "champion": "2", "outcome": "click", "version": "2",
    "since": "2026-01-01T00:00:00", "first": "2026-01-05", "limit": 7, "rows": 5, "folds": 5, "kind": "events",
    "turns": ["2026-01-05", "2026-01-12"], "starts": "opens", "ends": "closes", "known": "s1", "subject_id": "s1",
    "unit_id": "u1", "variant_id": "v1", "release_id": "r1", "candidate_id": "c1", "call_id": "l1", "exposure_id": "e1",
    "event_id": "e1", "decision_id": "d1", "single": True, "corpus": "corpus 1", "file_hash": "f1",
    "occurred_at": datetime(2026, 1, 5), "starts_at": datetime(2026, 1, 5),
    "ends_at": datetime(2026, 1, 6), "keep": 1, "days": 7,
}  # fmt: skip
"""A value for every parameter by its name; a statement with another one needs it here."""
POOLS: Mapping[str, tuple[Any, ...]] = {
    "turn": TURNS,
    "loop": ("content", "support", "replay"),
    "decision": ("publish", "wait", "approve", "edit", "pass", "flag", "block"),
    "guard": ("tone", "grounding"),
    "status": ("ok", "deferred", "timeout"),
    "event_type": ("exposure", "click", "purchase"),
    "outcome": ("click", "purchase", "complaint"),
    "kind": ("subjects", "events", "reviews"),
    "text": ("Ünïcode – 3 oz", "a \"quoted\" text, with commas", "plain", "", "two\nlines"),
    "original": ("an original", "Another", "ärger", ""),
    "facts": ('{"opens":"2026-01-01","closes":"2026-02-01","size":"3 oz"}',
              '{"opens":"not a date","closes":"2026-02-01"}', '{"opens":"2026-01-12"}', "{}", "[1]", "no json"),
    "messages": ('[{"role":"user","content":"x"}]', "[]", "no json"),
    "category": ("toys", "pantry"),
    "format": ("headline", "mail"),
    "policy_version": ("1", "2", "3"), "champion": ("1", "2"), "champion_before": ("1", "2"),
    "champion_after": ("1", "2"), "challenger": ("2", "3"), "to_version": ("1", "2"),
    "share": (0.25, 0.5, 0.0, 1.0), "propensity": (0.25, 0.5, 1.0), "holdout": (0.1, 0.05),
    "within_s": (3600, 86_400, 604_800),
}  # fmt: skip
OF_REPLAY = ('{"sample_ratio_p":"0.5","variants":"[\\"a\\"]"}', '{"sample_ratio_p":"0.0001","variants":"[]"}', "{}")
"""Facts of logged tests, which must be JSON; those of others must be said to be none."""
PREFIXES = {
    "subject_id": "s", "unit_id": "u", "variant_id": "v", "release_id": "r", "candidate_id": "c", "call_id": "l",
    "exposure_id": "e", "event_id": "e", "outcome_id": "o", "file_hash": "f", "brief_id": "b", "recipe_id": "recipe",
    "decision_id": "d", "exclusion_id": "x",
    "stratum": "s", "review_id": "w", "segment": "g",
}  # fmt: skip
KEYS = (
    "turn", "loop", "subject_id", "decision_id", "variant_id", "recipe_id", "category", "segment", "side", "outcome",
    "status", "guard", "stratum", "option",
)  # fmt: skip
"""What tells rows of a mart apart, as far as it has them; variants go by the first ones."""
IDENTITIES = {"event_id", "exposure_id", "outcome_id", "decision_id"}
EPOCH = datetime(2026, 1, 5)


@dataclass(frozen=True)
class Mart(Table):
    """A table that dbt makes."""

    @property
    def qualified(self) -> str:
        return f"marts.{self.name}"


def marts() -> list[Mart]:
    kinds = {"text": "VARCHAR", "bigint": "BIGINT", "double precision": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE"}
    nodes = json.loads(manifest_path().read_text())["nodes"].values()
    return [
        Mart(
            name=node["name"],
            grain="",
            key=tuple(
                name
                for name in ((*KEYS[:5], "outcome") if "variant_id" in node["columns"] else KEYS)
                if name in node["columns"]
            ),
            columns={name: (kinds[column["data_type"]], "") for name, column in node["columns"].items()},
        )
        for node in nodes
        if node["resource_type"] == "model" and node["schema"] == "marts" and node["config"]["materialized"] != "view"
    ]


def made_up(table: Table) -> pl.DataFrame:
    """Rows of small pools of values, so that what joins in the project joins here; some null, and none twice."""
    chance = random.Random(table.name)
    moments = (EPOCH + timedelta(minutes=7 * number) for number in range(1_000_000))

    def value(name: str, kind: str) -> Any:
        if kind == "TIMESTAMP":
            return next(moments) + timedelta(seconds=chance.randrange(400))
        if name not in ("turn", "loop", *table.key) and chance.random() < 0.08:
            return None
        if name in POOLS:
            return chance.choice(POOLS[name])
        if name in PREFIXES:
            return f"{PREFIXES[name]}{chance.randrange(60 if name in IDENTITIES & {*table.key} else 6)}"
        return {
            "VARCHAR": lambda: f"{name} {chance.randrange(3)}",
            "BIGINT": lambda: chance.randrange(50),
            "INTEGER": lambda: chance.randrange(5),
            "DOUBLE": lambda: chance.randrange(200) / 8,
            "BOOLEAN": lambda: chance.random() < 0.5,
            "DATE": lambda: chance.choice(TURNS),
        }[kind]()

    rows = [{name: value(name, kind) for name, (kind, _) in table.columns.items()} for _ in range(ROWS)]
    for row in rows:
        if "facts" in row and row["loop"] == "replay":
            row["facts"] = chance.choice(OF_REPLAY)
        elif "facts" in row and table.name == "landed_subjects":  # written by intake as JSON
            row["facts"] = chance.choice(POOLS["facts"][:4])
    return table.frame({tuple(row[name] for name in table.key): row for row in rows}.values())


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> tuple[Warehouse, Warehouse]:
    """The same rows in a file and in a database, facts and marts."""
    both = (DuckDBWarehouse(tmp_path_factory.mktemp("file") / "w.duckdb"), PostgresWarehouse(postgres.new_database()))
    types = {"DOUBLE": "double precision", "VARCHAR": "text"}
    for warehouse in both:
        with warehouse.held_open() as statements:
            statements.connection.execute("create schema marts")
            for table in marts():
                columns = ", ".join(f"{name} {types.get(kind, kind)}" for name, (kind, _) in table.columns.items())
                statements.connection.execute(f"create table {table.qualified} ({columns})")
            for table in [*TABLES.values(), *marts()]:
                statements.append(table, made_up(table))
    return both


def statements_in_sources() -> Iterator[tuple[str, str]]:
    """Every SELECT that stands in a source, with where it stands; of f-strings, those that a module keeps by a name."""
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] in NOT_HERE:
            continue
        source = path.read_text(encoding="utf-8")
        if "select " not in source:
            continue
        found = {node.value: node.lineno for node in constants(ast.parse(source)) if is_select(node)}
        module = importlib.import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
        found |= {value: 0 for value in vars(module).values() if isinstance(value, str) and SELECT.match(value)}
        for sql, line in found.items():
            yield f"{path.relative_to(ROOT)}:{line}", sql


SELECT = re.compile(r"\s*(select|with)\s[^{}]*\sfrom\s[^{}]*$", re.DOTALL)


def constants(tree: ast.AST) -> Iterator[ast.AST]:
    """Whole constants: the parts of an f-string are none."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Constant):
            yield node
        elif not isinstance(node, ast.JoinedStr):
            yield from constants(node)


def is_select(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(SELECT.match(node.value))


def outcome(warehouse: Warehouse, sql: str) -> list[tuple[Any, ...]]:
    """Rows that come out, sorted unless the statement says how."""
    names = set(re.findall(r"\$([a-z_]+)", sql))
    assert names <= set(GIVEN), f"Give {names - set(GIVEN)} a value in GIVEN."
    rows = [
        tuple(plain(value) for value in row) for row in warehouse.read(sql, {n: GIVEN[n] for n in names}).iter_rows()
    ]
    return rows if re.search(r"order by all\s*(limit \S+)?\s*$", sql) else sorted(rows, key=repr)


def plain(value: Any) -> Any:
    """Numbers as one reads them: engines differ in their types for sums, and in the last digit of a quotient."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float | Decimal | int):
        return float(f"{float(value):.10g}")
    if isinstance(value, list | pl.Series):
        return [plain(one) for one in value]
    return value


@pytest.mark.parametrize("sql", [pytest.param(sql, id=place) for place, sql in statements_in_sources()])
def test_a_statement_gives_the_same_rows_on_both_engines(engines: tuple[Warehouse, Warehouse], sql: str) -> None:
    in_file, in_database = (outcome(warehouse, sql) for warehouse in engines)
    assert in_file == in_database


def promises() -> Iterator[Any]:
    for suite in read_suites(["content", "replay"]):
        for name, aggregate in suite.profile.items():
            text = f'select {aggregate} as "{name}" from {suite.relation} where {suite.where}'
            yield pytest.param(suite, text, id=f"{suite.identity}-{name}")
        for name, statistic in suite.statistics.items():
            yield pytest.param(suite, statistic.sql, id=f"{suite.identity}-{name}")


@pytest.mark.parametrize(("suite", "sql"), promises())
def test_a_promise_of_a_suite_is_measured_alike_on_both_engines(
    engines: tuple[Warehouse, Warehouse], suite: Suite, sql: str
) -> None:
    for name, value in suite.parameters.items():
        sql = sql.replace(f"${name}", f"'{value}'")
    in_file, in_database = (outcome(warehouse, sql) for warehouse in engines)
    assert in_file == in_database


def test_the_report_and_previews_are_alike(engines: tuple[Warehouse, Warehouse]) -> None:
    mine, theirs = (turn_lines(warehouse) for warehouse in engines)
    assert len(mine) > 3
    assert sorted(map(repr, mine)) == sorted(map(repr, theirs))
    for mart in marts():
        in_file, in_database = (outcome(warehouse, preview("marts", mart.name)) for warehouse in engines)
        assert len(in_file) == GIVEN["rows"]
        assert in_file == in_database


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_partition_is_read_replaced_and_added_to_alike(engines: tuple[Warehouse, Warehouse], table: Table) -> None:
    found = [warehouse.rows(table, turn="2026-01-12", loop="content") for warehouse in engines]
    assert found[0].equals(found[1])
    assert found[0].schema == found[1].schema
    assert found[0].height > 0
    one = found[0].head(1)
    counts: list[int] = []

    def changed_and_broken_off(warehouse: Warehouse) -> None:
        with warehouse.transaction() as statements:
            counts.append(statements.replace(table, one, turn="2026-01-12", loop="content"))
            statements.append(table, one)
            counts.append(statements.rows(table, turn="2026-01-12", loop="content").height)
            everything = Query(f"select * from {table.qualified}")
            counts.append(statements.replace(table, everything, turn="2026-01-12", loop="content"))
            raise UndoneError

    for warehouse in engines:
        with pytest.raises(UndoneError):
            changed_and_broken_off(warehouse)
        assert warehouse.rows(table, turn="2026-01-12", loop="content").equals(found[0])
    assert counts[:3] == counts[3:]
    assert counts[:2] == [1, 2]


class UndoneError(Exception):
    """Breaks a transaction off."""


def test_a_sample_is_as_large_as_asked_for_and_the_same_again(engines: tuple[Warehouse, Warehouse]) -> None:
    everything = Query("select event_id, occurred_at from flywheel.events where loop = $loop", {"loop": "content"})
    for warehouse in engines:
        whole = warehouse.read(everything.sql, everything.parameters)
        drawn = warehouse.sampled(everything, 4, 7)
        first, again = (warehouse.read(drawn.sql, drawn.parameters) for _ in range(2))
        assert first.equals(again)
        assert first.height == 4
        assert set(first.iter_rows()) <= set(whole.iter_rows())


@pytest.mark.parametrize("sql", ["select nothing from flywheel.events", "select 1 from nowhere", "selekt", "select $a"])
def test_what_the_engine_refuses_is_one_error_on_both(engines: tuple[Warehouse, Warehouse], sql: str) -> None:
    for warehouse in engines:
        with pytest.raises(StatementError):
            warehouse.read(sql)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select * from flywheel.events where turn = ?", "Name the parameters"),
        ("select try_cast(text as integer) from flywheel.releases", "only try to read dates"),
        ("select json_extract_string(facts, '$.a.b') from flywheel.subjects", "Only a field of the outermost object"),
        ("select * exclude (a) from (select 1 as a, 2 as b)", "only of a declared table alone"),
        ("select * from flywheel.events qualify row_number() over (order by turn) = 1", "Name the columns"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_its_name(sql: str, said: str) -> None:
    with pytest.raises(UntranslatableError, match=said):
        translated(sql)
