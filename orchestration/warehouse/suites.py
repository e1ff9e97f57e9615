"""Suites of expectations as values: what `expectations/*.json` may say, read and checked without Great Expectations.

Here: the form of a suite file, its placeholders, and errors that name the file and the remedy.
Not here: computing and judging (gates) and the Dagster checks made of suites (orchestration.graph.checks).

A suite file holds:

* `name`; `asset`, the key of the asset it guards, parts joined by `/`, with placeholders such as `{loop}`;
* `table`, the physical table. A partitioned suite (`"partitioned": false` is the exception) sees the rows of one turn,
  and of one loop when the key names `{loop}`; `where` narrows further and may use `$turn`, `$until`, `$loop` and other
  placeholders as parameters; `relation` is what to read instead of the bare table, such as a join;
* `each`, the values of placeholders other than `{loop}`;
* `profile`: named SQL aggregates over those rows, computed in the warehouse at any size into one row; `rows` is there;
* `statistics`: named numbers made by a function of `gates.STATISTICS` from the rows of a `sql` query;
* `expectations`: each with Great Expectations' `type` and `kwargs`, a `severity` (`critical` blocks what comes after)
  and `meta`: `name` of the check, `on` (`profile`, statistics included, or `rows`), `why` it matters, and the `remedy`.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Any, Literal, get_args

Severity = Literal["critical", "warning", "info"]
On = Literal["profile", "rows"]

Kept = Mapping[str, Collection[str]]
DELIVERED = ("flywheel.releases", "flywheel.decisions", "flywheel.results")
"""Tables that one way of delivery keeps and another does not."""

FOLDER = Path(__file__).resolve().parents[2] / "expectations"
_KEYS = {"name", "asset", "table", "relation", "where", "partitioned", "each", "profile", "statistics", "expectations"}


@dataclass(frozen=True)
class Expectation:
    """One promise about a suite's profile or rows. `columns` are those that it judges."""

    name: str
    type: str
    kwargs: Mapping[str, Any]
    severity: Severity
    on: On
    why: str
    remedy: str

    @property
    def blocking(self) -> bool:
        return self.severity == "critical"

    @property
    def columns(self) -> tuple[str, ...]:
        named = [self.kwargs[key] for key in ("column", "column_A", "column_B") if key in self.kwargs]
        return (*named, *self.kwargs.get("column_list", ()))


@dataclass(frozen=True)
class Statistic:
    """A number that SQL alone cannot give: `function` of the rows that `sql` gives."""

    function: str
    sql: str


@dataclass(frozen=True)
class Suite:
    """A suite for one asset, its placeholders filled. `parameters` are the values that filled them."""

    name: str
    asset: tuple[str, ...]
    table: str
    relation: str
    where: str
    partitioned: bool
    profile: Mapping[str, str]
    statistics: Mapping[str, Statistic]
    expectations: tuple[Expectation, ...]
    parameters: Mapping[str, str]

    @property
    def identity(self) -> str:
        """A name that no other suite has, whatever filled the placeholders."""
        return "_".join((self.name, *self.parameters.values()))

    def on(self, what: On) -> tuple[Expectation, ...]:
        return tuple(expectation for expectation in self.expectations if expectation.on == what)


def read_suites(loops: Sequence[str], folder: Path = FOLDER, kept: Kept | None = None) -> list[Suite]:
    """Every suite in a folder, for every loop and value of its placeholders.

    `kept` names the tables that each loop's way of delivery keeps: a suite of such a table is for loops that keep it.
    Raises ValueError naming the file, what is wrong and what is needed; FileNotFoundError when there is no suite.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise FileNotFoundError(f"No suite in {folder}: expectations/*.json belong to the project.")
    suites = [suite for path in files for suite in _suites(path, loops, kept or {})]
    twice = {suite.identity for suite in suites if sum(other.identity == suite.identity for other in suites) > 1}
    if twice:
        raise ValueError(f"Suites share a name: {sorted(twice)}. Rename one.")
    return suites


def _suites(path: Path, loops: Sequence[str], kept: Kept) -> Iterator[Suite]:
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as fault:
        raise ValueError(f"{path.name} is no JSON: {fault}.") from fault
    missing, unknown = {"name", "asset", "table", "expectations"} - set(page), set(page) - _KEYS
    if missing or unknown:
        raise ValueError(f"{path.name}: missing {sorted(missing)}, unknown {sorted(unknown)}; known {sorted(_KEYS)}.")
    profile = {"rows": "count(*)", **page.get("profile", {})}
    statistics = {name: Statistic(**statistic) for name, statistic in page.get("statistics", {}).items()}
    expectations = tuple(_expectation(entry, path, {*profile, *statistics}) for entry in page["expectations"])
    names = [expectation.name for expectation in expectations]
    if len(set(names)) < len(names):
        raise ValueError(f"{path.name} names an expectation twice: {sorted({n for n in names if names.count(n) > 1})}.")
    values = {"loop": list(loops), **page.get("each", {})}
    values["loop"] = [loop for loop in values["loop"] if loop in loops]  # a suite for a loop that does not turn here
    if page["table"] in DELIVERED:
        values["loop"] = [loop for loop in values["loop"] if page["table"] in kept.get(loop, DELIVERED)]
    places = [place for _, place, _, _ in Formatter().parse(page["asset"]) if place]
    if unfilled := set(places) - set(values):
        raise ValueError(f"{path.name}: nothing fills {sorted(unfilled)} of its asset; add them to `each`.")
    partitioned = bool(page.get("partitioned", True))
    for chosen in product(*(values[place] for place in places)):
        parameters = dict(zip(places, chosen, strict=True))
        yield Suite(
            name=page["name"],
            asset=tuple(page["asset"].format(**parameters).split("/")),
            table=page["table"],
            relation=page.get("relation", page["table"]),
            where=" and ".join(_conditions(page.get("where"), partitioned, by_loop="loop" in parameters)) or "true",
            partitioned=partitioned,
            profile=profile,
            statistics=statistics,
            expectations=expectations,
            parameters=parameters,
        )


def _conditions(where: str | None, partitioned: bool, by_loop: bool) -> Iterator[str]:
    if partitioned:
        yield "turn = $turn"
    if by_loop:
        yield "loop = $loop"
    if where:
        yield f"({where})"


def _expectation(entry: Mapping[str, Any], path: Path, profiled: set[str]) -> Expectation:
    meta = entry.get("meta", {})
    needed = {"type", "kwargs", "severity", "meta"} - set(entry) | {"name", "on", "why", "remedy"} - set(meta)
    if needed:
        raise ValueError(f"{path.name}: an expectation ({meta.get('name', entry.get('type'))}) lacks {sorted(needed)}.")
    if entry["severity"] not in get_args(Severity) or meta["on"] not in get_args(On):
        raise ValueError(
            f"{path.name}, {meta['name']}: `severity` is one of {get_args(Severity)}, `on` one of {get_args(On)}."
        )
    expectation = Expectation(
        name=meta["name"],
        type=entry["type"],
        kwargs=dict(entry["kwargs"]),
        severity=entry["severity"],
        on=meta["on"],
        why=meta["why"],
        remedy=meta["remedy"],
    )
    unknown = set(expectation.columns) - profiled
    if expectation.on == "profile" and unknown:
        raise ValueError(f"{path.name}, {expectation.name}: the profile has no {sorted(unknown)}; add them to it.")
    return expectation
