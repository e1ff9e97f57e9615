"""Benchmark `evidence`: broken assignments are seen, chance is not promoted, real effects are, intervals cover.

Here: the bars of learning that can be proven, and their peers in the same run.
Not here: the worlds (simulated_flywheels, known_bandits). All flywheels here are simulated.
"""

import math
import os
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.known_bandits import WORLDS, Log, World, open_bandit
from benchmarks.report import Row, write
from benchmarks.simulated_flywheels import Fate, even, evidence_of, fate, favourite, gap_for, learner
from orchestration.learning.proof.comparison import compare
from orchestration.learning.proof.off_policy import METHODS, Method, NotEnoughOverlap, evaluate
from orchestration.learning.proof.power import Design, turns_to_promote
from orchestration.learning.proof.sample_ratio import mismatched, sample_ratio_p_value

FLYWHEELS = int(os.environ.get("FLYWHEEL_BENCH_FLYWHEELS", "2000"))
LOGS = int(os.environ.get("FLYWHEEL_BENCH_LOGS", "1000"))
TURNS = 20
TIE = 1.05  # mean squared errors that differ by less are a tie
USUAL = Design(base_rate=0.03, subjects=48, units=500)
THIN = Design(base_rate=0.01, subjects=12, units=200)
SHOP = Design(base_rate=0.05, subjects=60, units=1500)
BROKEN = datetime(2013, 6, 25), datetime(2014, 1, 11)  # a cache served one arm, by the publisher's own account


def main() -> None:
    started = time.perf_counter()
    folder = Path(os.environ.get("FLYWHEEL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    rows: list[Row] = []
    for part, measure in {
        "sample ratio": lambda: sample_ratio(folder),
        "false promotions": false_promotions,
        "true promotions": true_promotions,
        "intervals": intervals,
        "open bandit": lambda: real_logs(folder),
    }.items():
        if part in ("sample ratio", "open bandit") and not folder.is_dir():
            if os.environ.get("CI") == "true":
                raise FileNotFoundError(f"No data sets in {folder}: set FLYWHEEL_DATA.")
            print(f"{part}: skipped, no data sets in {folder} (FLYWHEEL_DATA)", flush=True)
            continue
        begun = time.perf_counter()
        rows += measure()
        print(f"{part}: {time.perf_counter() - begun:.0f} s", flush=True)
    write("evidence", rows, time.perf_counter() - started)


def sample_ratio(folder: Path) -> list[Row]:
    """Upworthy, week by week; the peer is chi-square at p < 0.001, test by test."""
    from scipy.stats import chisquare

    tests = (
        pl.read_parquet(folder / "upworthy" / "headline_tests.parquet")
        .group_by("test_id")
        .agg("impressions", pl.col("created_at").min())
        .filter(pl.col("impressions").list.len() > 1)
        .with_columns(week=pl.col("created_at").dt.truncate("1w"))
        .sort("created_at", "test_id")
    )
    arms = tests["impressions"].to_list()
    p_values = np.array([sample_ratio_p_value(counts, [1.0] * len(counts)) for counts in arms])
    ours = np.zeros(len(arms), dtype=bool)
    week = tests["week"].to_numpy()
    for one in np.unique(week):
        ours[week == one] = mismatched(p_values[week == one])
    peer = np.array([chisquare(counts).pvalue < 0.001 for counts in arms])
    broken = tests["created_at"].is_between(*BROKEN, closed="left").to_numpy()
    return [
        _share("tests flagged, 25 Jun 2013 to 10 Jan 2014", ours[broken], peer[broken], "chi-square, p < 0.001", 0.70),
        _share("tests flagged, all others", ours[~broken], peer[~broken], "chi-square, p < 0.001", 0.007, most=True),
    ]


def false_promotions() -> list[Row]:
    """All recipes alike, so that no challenger is better whatever it learns; decided upon after each of 20 turns."""
    usual = _fates(USUAL, 0.0, TURNS, FLYWHEELS, seed=1)
    thin = _fates(THIN, 0.0, TURNS, FLYWHEELS // 8, seed=2)
    ever = "no better challenger ever promoted in 20 turns"
    peeking = [one.either_side > 0 for one in usual]
    naive = "z test at 5 % every turn"
    return [
        _share(f"{ever} (simulated)", [one.ours > 0 for one in usual], peeking, naive, 0.05, most=True),
        _share(f"{ever}, 20 planned", [one.planned > 0 for one in usual], peeking, naive, 0.05, most=True),
        _share(
            f"{ever}, against a one-sided test",
            [one.ours > 0 for one in usual],
            [one.above > 0 for one in usual],
            f"one-sided {naive}",
        ),
        _share(
            f"{ever}, 12 subjects and 200 units at 1 %",
            [one.ours > 0 for one in thin],
            [one.either_side > 0 for one in thin],
            naive,
            0.05,
            most=True,
        ),
    ]


def true_promotions() -> list[Row]:
    """A challenger worth 10 % more, known or still to be learned: promoted by the turn that the plan names?"""
    rows = []
    for known, what in ((True, "a challenger 10 % better"), (False, "the same, still to be learned")):
        named = turns_to_promote(SHOP, 0.10, learning=not known)
        assert named is not None
        fates = _fates(SHOP, gap_for(SHOP, 0.10), named, FLYWHEELS // 5, seed=4, known=known)
        promoted = [0 < one.ours <= named for one in fates]
        rows.append(_share(f"{what}: promoted by turn {named}, as planned (simulated)", promoted, goal=0.80))
    lifts = []
    rng = np.random.default_rng(5)
    for _ in range(FLYWHEELS // 20):
        evidence = evidence_of(SHOP, gap_for(SHOP, 0.10), 6, rng)
        last = str(evidence["turn"].max())
        lifts.append(compare(evidence, lambda _: favourite(SHOP), even(SHOP), last).relative)
    mean, error = float(np.mean(lifts)), float(np.std(lifts) / math.sqrt(len(lifts)))
    rows.append(
        Row(
            "lift estimated where it is 10 % (simulated)",
            100 * mean,
            "%",
            low=100 * (mean - 1.96 * error),
            high=100 * (mean + 1.96 * error),
        )
    )
    return rows


def intervals() -> list[Row]:
    """Coverage of 95 % intervals and mean squared error on bandits with known values."""
    coverage: dict[tuple[str, str], float] = {}
    plain: dict[tuple[str, str], float] = {}
    errors: dict[tuple[str, str], np.ndarray] = {}
    for world in WORLDS:
        rng = np.random.default_rng(6)
        made = [_all_methods(world, world.log(rng)) for _ in range(LOGS)]
        for place, method in enumerate(METHODS):
            values = np.array([one[place] for one in made])
            coverage[world.name, method] = float(values[:, 1].mean())
            plain[world.name, method] = float(values[:, 2].mean())
            errors[world.name, method] = values[:, 0] ** 2
    rows = []
    for method in METHODS:
        ours = [coverage[world.name, method] for world in WORLDS]
        peer = [plain[world.name, method] for world in WORLDS]
        worst = max(ours, key=lambda share: abs(share - 0.95))
        rows.append(
            Row(
                f"95 % interval of {method} covers, worst of {len(WORLDS)} worlds",
                100 * worst,
                "%",
                peer=100 * max(peer, key=lambda share: abs(share - 0.95)),
                peer_name="value ± 1.96 se, independent rows",
                goal=93,
                holds=min(ours) >= 0.93 and max(ours) <= 0.97,
                low=100 * min(ours),
                high=100 * max(ours),
            )
        )
    for world in WORLDS:
        others = {method: errors[world.name, method].mean() for method in METHODS if method != "dr_shrinkage"}
        best = min(others, key=others.__getitem__)
        mine = float(errors[world.name, "dr_shrinkage"].mean())
        rows.append(
            Row(
                f"mean squared error of dr_shrinkage, {world.name}",
                mine,
                "reward²",
                peer=float(others[best]),
                peer_name=f"{best}, best of the others",
                ratio=mine / float(others[best]),
                goal=TIE,
                holds=mine <= TIE * float(others[best]),
            )
        )
    relative = {
        method: float(
            np.exp(
                np.mean([np.log(errors[w.name, method].mean() / errors[w.name, "dr_shrinkage"].mean()) for w in WORLDS])
            )
        )
        for method in METHODS
        if method != "dr_shrinkage"
    }
    best = min(relative, key=relative.__getitem__)
    rows.append(
        Row(
            "mean squared error over all worlds, geometric mean",
            1.0,
            "of dr_shrinkage",
            peer=relative[best],
            peer_name=f"{best}, best of the others",
            ratio=1 / relative[best],
            goal=1.0,
            holds=relative[best] >= 1,
        )
    )
    return rows


def real_logs(folder: Path) -> list[Row]:
    """Open Bandit: Thompson's click rate from the random log, and the reverse, which the log cannot answer."""
    forward, back, thompson, random = open_bandit(folder)
    rows = []
    for method in METHODS:
        made = evaluate(method, **forward)
        rows.append(
            Row(
                f"Open Bandit, random to Thompson by {method}: its interval holds the on-policy rate",
                1000 * made.value,
                "clicks per 1,000",
                peer=1000 * thompson,
                peer_name="on-policy rate",
                ratio=made.value / thompson,
                holds=bool(made.low <= thompson <= made.high),
                low=1000 * made.low,
                high=1000 * made.high,
            )
        )
    refusals = [_refusal(method, back) for method in METHODS]
    sizes = [one.number for one in refusals if one is not None]
    rows.append(
        Row(
            f"Open Bandit, Thompson to random (on-policy {1000 * random:.1f}): refused by all, effective rewards",
            max(sizes, default=math.nan),
            "rewards",
            goal=10,
            holds=len(sizes) == len(METHODS),
        )
    )
    return rows


def _refusal(method: Method, log: Log) -> NotEnoughOverlap | None:
    try:
        evaluate(method, **log)
    except NotEnoughOverlap as refusal:
        return refusal
    return None


def _all_methods(world: World, log: Log) -> list[tuple[float, bool, bool]]:
    """Error, coverage, and coverage of the plain interval of each method on one log."""
    truth = world.value
    independent = {name: values for name, values in log.items() if name != "clusters"}
    made = []
    for method in METHODS:
        ours = evaluate(method, **log)
        width = 1.959964 * (evaluate(method, **independent).standard_error if world.visits > 1 else ours.standard_error)
        made.append((ours.value - truth, ours.low <= truth <= ours.high, abs(ours.value - truth) <= width))
    return made


def _fates(design: Design, gap: float, turns: int, number: int, seed: int, known: bool = False) -> list[Fate]:
    rng = np.random.default_rng(seed)
    fit = (lambda _: favourite(design)) if known else learner(design)
    return [fate(design, gap, turns, rng, fit) for _ in range(number)]


def _share(
    what: str,
    ours: Sequence[bool] | np.ndarray,
    peer: Sequence[bool] | np.ndarray | None = None,
    peer_name: str | None = None,
    goal: float | None = None,
    most: bool = False,
) -> Row:
    """A share in percent with its 95 % (Wilson) interval; `most` makes the goal an upper bound."""
    from scipy.stats import binomtest

    hits, number = int(np.sum(ours)), len(ours)
    spread = binomtest(hits, number).proportion_ci(method="wilson")
    share = hits / number
    against = None if peer is None else 100 * float(np.mean(peer))
    return Row(
        what=what,
        ours=100 * share,
        unit="%",
        peer=against,
        peer_name=peer_name,
        ratio=100 * share / against if against else None,
        goal=None if goal is None else 100 * goal,
        holds=None if goal is None else (share <= goal if most else share >= goal),
        low=100 * float(spread.low),
        high=100 * float(spread.high),
    )


if __name__ == "__main__":
    main()
