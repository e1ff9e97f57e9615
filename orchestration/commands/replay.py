"""Replay: past tests of a team go through the ordinary graph, to see what the flywheel would have been worth to them.

Here: the order of events, what is shown on the way, and the table and the picture at the end.
Not here: reading logs and drawing from them (worlds.replayed), the graph (graph.definitions).
"""

import gc
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.driver import Flywheel, TurnFailedError
from orchestration.home import prepare_home, start_over
from orchestration.learning.proof.replay_gain import Gain, gain_of
from orchestration.loops.replay import NAME
from orchestration.settings import Settings
from orchestration.turns import Turn
from orchestration.warehouse.engines import open_warehouse
from orchestration.worlds.replayed.logged_tests import LoggedTests, read_logged_tests
from orchestration.worlds.replayed.replay import Met, ReplayWorld, first_turn_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console
    from rich.table import Table

SUMMARY, PICTURE, REFUSED = "summary.json", "clicks_gained.png", "refused.ndjson"
SHOWN_REFUSALS = 10
DECISIONS = """
    select turn::varchar as turn, champion_before, challenger, promoted, champion_after, reason
    from flywheel.promotions where loop = $loop
    qualify row_number() over (partition by turn order by coalesce(record, 0) desc) = 1
    order by turn
"""


@dataclass(frozen=True)
class ReplayedTurn:
    """One turn: what it met and gained, or why a gate refused it."""

    key: str
    met: tuple[Met, ...] = ()
    refused: str | None = None
    seconds: float = 0.0

    @property
    def gain(self) -> Gain:
        return gain_of(
            [one.expected for one in self.met], [one.even for one in self.met], [one.units for one in self.met]
        )


def run_replay(
    home: Path, data: Path, form: str, console: "Console", *, units: int, turns_in_force: int, seed: int
) -> list[ReplayedTurn]:
    """Start over in `home`, replay every turn of the log, and leave a table and a picture.

    Raises FileNotFoundError and ValueError for a log that cannot be read, or a home that holds something else.
    """
    started = time.monotonic()
    log = read_logged_tests(data, form)
    if log.arms.is_empty():
        _tell_refusals(log, console)
        raise ValueError(f"{data.name} holds no test of two different texts that could be used.")
    settings = Settings(
        home=home,
        first_turn=first_turn_of(log.arms),
        cadence="weekly",
        loops=(NAME,),
        subjects_per_turn=100_000,
        seed=seed,
    )
    start_over(settings, "replay of logged tests")
    _keep_refusals(log, settings.root / REFUSED)
    _tell_refusals(log, console)
    world = ReplayWorld(log.arms, seed, units, turns_in_force)
    first = Turn.of(settings.first_turn, settings)
    world.land_subjects(settings.landing, first)
    turns = world.turns(first)
    groups = log.arms["group"].n_unique()
    console.print(
        f"{groups:,} groups of comparable texts in {log.tests:,} logged tests, {len(turns)} turns from {first.key} on; "
        f"each is shown to up to {units:,} units a turn, for {turns_in_force} turn{'s' * (turns_in_force > 1)}. "
        f"{log.alone:,} groups hold one text only."
    )
    replayed = []
    prepare_home(settings)
    # One process has the warehouse and Dagster's files to itself until the end, so that they are opened once.
    with (
        open_warehouse(settings).held_open(),
        dg.DagsterInstance.get() as instance,
    ):
        wheel = Flywheel(settings, instance=instance)
        for number, turn in enumerate(turns, start=1):
            replayed.append(_replayed(wheel, world, turn))
            if number == 1:
                gc.freeze()  # what the first turn loaded stays: no collection need look through it again
            console.print(f"{number}/{len(turns)} {_line(replayed[-1])}", highlight=False, markup=False)
    decisions = open_warehouse(settings).read(DECISIONS, {"loop": NAME}).to_dicts()
    console.print(gain_table(replayed, decisions, time.monotonic() - started))
    for decision in decisions:
        if decision["champion_before"] != decision["champion_after"]:
            console.print(f"{decision['turn']}: {decision['reason']}", highlight=False, markup=False)
    figure = gain_figure(replayed)
    figure.savefig(settings.root / PICTURE, dpi=130)
    _report_to_dagster(settings, replayed, figure)
    _write_summary(settings.root / SUMMARY, replayed, decisions, time.monotonic() - started)
    where = f"FLYWHEEL_HOME={home} FLYWHEEL_LOOPS='[\"{NAME}\"]' FLYWHEEL_FIRST_TURN={first.key}"
    console.print(f"The picture is {home / PICTURE}. See every turn in the UI: {where} make up", highlight=False)
    return replayed


def _replayed(wheel: Flywheel, world: ReplayWorld, turn: Turn) -> ReplayedTurn:
    begun = time.monotonic()
    settings = wheel.settings
    try:
        wheel.produce(turn.key)
    except TurnFailedError as error:
        if not error.refused_by:
            raise
        said = "; ".join(f"{name}: {found}" for name, found in error.refused_by.items())
        return ReplayedTurn(turn.key, refused=said, seconds=time.monotonic() - begun)
    met = world.play(settings.outbox / NAME / f"{turn.key}.ndjson", settings.landing, turn)
    wheel.learn(turn.key)
    return ReplayedTurn(turn.key, tuple(met), seconds=time.monotonic() - begun)


def _line(turn: ReplayedTurn) -> str:
    if turn.refused:
        return f"{turn.key}: refused. {turn.refused}"
    gain = turn.gain
    return (
        f"{turn.key}: {gain.subjects} tests, {gain.units:,} units, {_signed(gain.gained)} clicks over even shares "
        f"({_percent(gain.relative)}), {turn.seconds:.1f} s"
    )


def total_gain(turns: Sequence[ReplayedTurn]) -> Gain:
    """The gain of all turns together; a subject that is in force for several turns counts once, with their sums."""
    sums: dict[str, list[float]] = {}
    for turn in turns:
        for one in turn.met:
            row = sums.setdefault(one.subject_id, [0.0, 0.0, 0.0])
            for place, value in enumerate((one.expected, one.even, one.units)):
                row[place] += value
    expected, even, units = zip(*sums.values(), strict=True) if sums else ((), (), ())
    return gain_of(expected, even, [int(number) for number in units])


def gain_table(turns: Sequence[ReplayedTurn], decisions: Sequence[dict[str, Any]], seconds: float) -> "Table":
    """A row a turn, and one for all of them."""
    from rich import box
    from rich.table import Table

    decided = {row["turn"]: row for row in decisions}
    refused = sum(turn.refused is not None for turn in turns)
    title = f"{len(turns) - refused} turns of logged tests in {seconds:.0f} s, {refused} refused by a gate"
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    for head in ("turn", "tests", "units", "clicks, even", "gained", "95 % interval", "of even", "decision"):
        table.add_column(head, no_wrap=True, justify="left" if head in ("turn", "decision") else "right")
    for turn in turns:
        if turn.refused:
            table.add_row(turn.key, *[""] * 6, "refused by a gate")
            continue
        row = decided.get(turn.key)
        said = ("promoted" if row["promoted"] else "stays") if row else ""
        table.add_row(turn.key, *_cells(turn.gain), said)
    table.add_section()
    table.add_row("all", *_cells(total_gain(turns)), "")
    return table


def _cells(gain: Gain) -> tuple[str, ...]:
    interval = f"{_signed(gain.low)} to {_signed(gain.high)}" if math.isfinite(gain.low) else "one test only"
    return (
        f"{gain.subjects:,}",
        f"{gain.units:,}",
        f"{gain.even:,.1f}",
        _signed(gain.gained),
        interval,
        _percent(gain.relative),
    )


def gain_figure(turns: Sequence[ReplayedTurn]) -> "Figure":
    """Clicks gained over even shares: by turn with intervals, and added up."""
    import numpy as np
    from matplotlib.figure import Figure

    from orchestration.graph.assets.plots import ACCENT, INK

    figure = Figure(figsize=(10, 5.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    met = [(place, turn.gain) for place, turn in enumerate(turns) if not turn.refused and turn.met]
    at = np.array([place for place, _ in met])
    gained = np.array([gain.relative for _, gain in met])
    half = np.array([min((gain.high - gain.low) / 2 / gain.even, 9.9) for _, gain in met])
    for axes in (above, below):
        axes.axhline(0, color=INK, linewidth=0.8)
        for place, turn in enumerate(turns):
            if turn.refused:
                axes.axvspan(place - 0.5, place + 0.5, color="#dddddd", linewidth=0)
    above.errorbar(at, 100 * gained, yerr=100 * half, fmt="o", color=ACCENT, capsize=2, markersize=3, elinewidth=0.8)
    above.set_ylabel("clicks gained, %")
    above.set_title("Clicks gained over even shares, 95 % interval (grey: turns that a gate refused)", fontsize=10)
    sums = np.array([total_gain(turns[: place + 1]).gained for place, _ in met])
    ends = [total_gain(turns[: place + 1]) for place, _ in met]
    below.fill_between(at, [end.low for end in ends], [end.high for end in ends], color=ACCENT, alpha=0.2, linewidth=0)
    below.plot(at, sums, color=ACCENT)
    below.set_ylabel("clicks gained, in all")
    step = max(1, len(turns) // 12)
    below.set_xticks(range(0, len(turns), step), [turn.key for turn in turns[::step]], rotation=30, ha="right")
    return figure


def _report_to_dagster(settings: Settings, turns: Sequence[ReplayedTurn], figure: "Figure") -> None:
    """Put each turn's gain beside the loop's assets, where the UI plots it; the last one bears the picture."""
    from orchestration.graph.assets.plots import as_markdown_image

    prepare_home(settings)
    met = [turn for turn in turns if not turn.refused and turn.met]
    picture = dg.MarkdownMetadataValue(as_markdown_image(figure, "clicks gained by turn"))
    with dg.DagsterInstance.get() as instance:
        for turn in met:
            so_far = total_gain([one for one in met if one.key <= turn.key])
            figures = {
                "gained": turn.gain.gained,
                "of_even": turn.gain.relative,
                "gained_so_far": so_far.gained,
                "gained_so_far_low": so_far.low,
                "gained_so_far_high": so_far.high,
            }
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    dg.AssetKey([NAME, "gain"]),
                    partition=turn.key,
                    metadata={
                        **{name: figure for name, figure in figures.items() if math.isfinite(figure)},
                        **({"picture": picture} if turn is met[-1] else {}),
                    },
                )
            )


def _tell_refusals(log: LoggedTests, console: "Console") -> None:
    for refusal in log.refusals[:SHOWN_REFUSALS]:
        console.print(f"row {refusal.row}, test {refusal.test}: {refusal.reason}", style="yellow", highlight=False)
    if log.refusals:
        tests = len({refusal.test for refusal in log.refusals})
        console.print(
            f"{len(log.refusals)} rows are refused, and their {tests} tests left out: {REFUSED} has them all."
        )


def _keep_refusals(log: LoggedTests, path: Path) -> None:
    path.write_text("".join(json.dumps(vars(refusal)) + "\n" for refusal in log.refusals), encoding="utf-8")


def _write_summary(
    path: Path, turns: Sequence[ReplayedTurn], decisions: Sequence[dict[str, Any]], seconds: float
) -> None:
    decided = {row["turn"]: row for row in decisions}

    def figures(gain: Gain) -> dict[str, Any]:
        return {
            "tests": gain.subjects,
            "units": gain.units,
            "clicks_even": gain.even,
            "gained": gain.gained,
            "gained_low": gain.low if math.isfinite(gain.low) else None,
            "gained_high": gain.high if math.isfinite(gain.high) else None,
        }

    rows = [
        {
            "turn": turn.key,
            "refused": turn.refused,
            **figures(turn.gain),
            "clicks": sum(one.earned for one in turn.met),
            **{name: decided.get(turn.key, {}).get(name) for name in ("champion_before", "promoted", "reason")},
            "seconds": round(turn.seconds, 2),
        }
        for turn in turns
    ]
    summary = {"turns": rows, "total": figures(total_gain(turns)), "seconds": round(seconds, 1)}
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{_signed(100 * share)} %"


def _signed(number: float) -> str:
    return f"{round(number, 1) + 0.0:+,.1f}"  # without a zero that has a minus
