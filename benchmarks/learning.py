"""Benchmark `learning`: clicks gained by sharing a test's traffic between its headlines, against five peers.

Here: priors learned on tests before 15 August 2014, every peer tuned on those tests for each amount of traffic, and
all of them replayed on later tests: the same features, the same feedback, the same seeds.
Not here: the replay and its score (headline_replay) and the policies (bandits, bandit_libraries).
"""

import itertools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.bandit_libraries import Earlier, LinTS, VowpalWabbit
from benchmarks.bandits import Policy, explore_then_commit, lola, ours, thompson
from benchmarks.headline_replay import BATCHES, Replay
from benchmarks.report import Row, write
from benchmarks.upworthy import Arms, folds_of, read_arms, upworthy_file
from orchestration.learning.policies.variant_prior import VariantPrior, fit_variant_prior
from orchestration.learning.texts.reward_model import fit_reward_model

SEEDS = int(os.environ.get("FLYWHEEL_BENCH_SEEDS", "10"))
LATER = np.datetime64("2014-08-15")
GOALS = {1_000: 1.5, 3_000: 1.3, 10_000: 1.25}
FOLDS = 5
NEWEST = 200  # earlier tests whose level the predictions start from
TUNING_SEEDS = range(1_000, 1_004)


@dataclass(frozen=True)
class Peer:
    """A peer with the settings that tuning may choose among, and how many seeds it is tuned on."""

    make: Callable[..., Policy]
    settings: Sequence[tuple]
    seeds: int = len(TUNING_SEEDS)


def main() -> None:
    started = time.perf_counter()
    file = upworthy_file()
    if file is None:
        print("learning: skipped, no data sets (FLYWHEEL_DATA)", flush=True)
        return
    arms = read_arms(file)
    late = arms.created_at >= LATER
    earlier, later = arms.take(~late), arms.take(late & ~np.isin(arms.story, arms.story[~late]))
    score, score_later = _text_scores(earlier, later)
    predicted, predicted_later = _click_rates(earlier, later)
    groups = np.unique(earlier.group, return_inverse=True)[1]
    prior = fit_variant_prior(groups, earlier.impressions, earlier.clicks, score[:, None], turn=earlier.week)
    seen = Earlier(earlier.group, predicted, earlier.impressions, earlier.clicks)
    peers = _peers(seen, float(earlier.clicks.sum() / earlier.impressions.sum()))
    tuning = {
        count: Replay.of(earlier, score, predicted, list(TUNING_SEEDS)[:count])
        for count in {peer.seeds for peer in peers.values()}
    }
    replay = Replay.of(later, score_later, predicted_later, range(SEEDS))
    size = f"{len(np.unique(later.group))} tests, {SEEDS} seeds"
    print(f"prior: weight {prior.weights[0]:.2f}, spread {prior.spread:.2f}, from {prior.subjects} tests", flush=True)
    rows = []
    for impressions, goal in GOALS.items():
        rows += _compare(replay, tuning, peers, prior, impressions, goal, size)
    known = replay.best_of_first_half()
    low, high = _interval(known)
    rows.append(
        Row("lift if the first half of the log were known at once", float(known.mean()), "%", low=low, high=high)
    )
    write("learning", rows, time.perf_counter() - started)


def _compare(
    replay: Replay,
    tuning: Mapping[int, Replay],
    peers: Mapping[str, Peer],
    prior: VariantPrior,
    impressions: int,
    goal: float,
    size: str,
) -> list[Row]:
    """A row against the best peer, and one for each peer."""
    lifts = replay.lift(ours(prior), impressions)
    low, high = _interval(lifts)
    results = {}
    for name, peer in peers.items():
        chosen = max(
            peer.settings, key=lambda setting: tuning[peer.seeds].lift(peer.make(*setting), impressions).mean()
        )
        results[name] = (chosen, replay.lift(peer.make(*chosen), impressions))
        print(f"{impressions}: {name} {chosen}: {results[name][1].mean():.2f} %", flush=True)
    best = max(peers, key=lambda name: results[name][1].mean())
    rows = []
    for name, (chosen, theirs) in sorted(results.items(), key=lambda item: -item[1][1].mean()):
        ratio = lifts.mean() / theirs.mean()
        rows.append(
            Row(
                what=f"lift over even traffic, {impressions:,} impressions in {BATCHES} batches ({size})",
                ours=float(lifts.mean()),
                unit="%",
                peer=float(theirs.mean()),
                peer_name=f"{name}, {_spread(theirs)}" + (f", at {chosen}" if chosen else ""),
                ratio=float(ratio),
                goal=goal if name == best else None,
                holds=bool(ratio >= goal) if name == best else None,
                low=low,
                high=high,
            )
        )
    return rows


def _peers(earlier: Earlier, rate: float) -> dict[str, Peer]:
    explore = ("--softmax --lambda 5", "--softmax --lambda 20", "--softmax --lambda 60", "--squarecb", "--epsilon 0.1")
    return {
        "A/B, then commit": Peer(explore_then_commit, [(batches,) for batches in (1, 2, 3, 4, 5)]),
        "Thompson": Peer(lambda strength: thompson(strength, rate), [(s,) for s in (0.3, 1.0, 3.0)]),
        "UCB with a text prior (LOLA)": Peer(
            lola, list(itertools.product((150.0, 300.0, 600.0, 1200.0), (0.0, 0.01, 0.02, 0.04, 0.08, 0.12)))
        ),
        "mabwiser LinTS": Peer(
            lambda alpha, own: LinTS(earlier, alpha, own),
            [(0.1, 1.0), (0.3, 0.1), (0.3, 0.3), (0.5, 0.1), (0.5, 0.05), (1.0, 0.05)],
            seeds=1,
        ),
        "vowpalwabbit cb_explore_adf": Peer(
            lambda option, rate: VowpalWabbit(earlier, option, rate),
            list(itertools.product(explore, (0.2, 1.0))),
            seeds=1,
        ),
    }


def _text_scores(earlier: Arms, later: Arms) -> tuple[np.ndarray, np.ndarray]:
    """Our text model's scores: of earlier arms by models that did not see their story, of later ones by one model."""

    def scores(train: Arms, arms: Arms) -> np.ndarray:
        model = fit_reward_model(
            train.group,
            train.embeddings,
            train.features,
            train.impressions,
            train.clicks,
            turn=train.week,
            fold=train.story,
        )
        return model.predict(arms.embeddings, arms.features)

    return _cross_fitted(earlier, scores), scores(earlier, later)


def _click_rates(earlier: Arms, later: Arms) -> tuple[np.ndarray, np.ndarray]:
    """Click rates by ridge regression on the same features, as LOLA's recipe has it; penalties by cross-validation.

    Later rates start from the level of the newest earlier tests, as our prior does: click rates fall over the year.
    """

    def rates(embedding: float, surface: float) -> Callable[[Arms, Arms], np.ndarray]:
        def predict(train: Arms, arms: Arms) -> np.ndarray:
            table = [np.hstack([part.embeddings, part.features]).astype(float) for part in (train, arms)]
            width = train.embeddings.shape[1]
            middle, unit = table[0].mean(axis=0), np.ones(table[0].shape[1])
            unit[width:] = np.maximum(table[0][:, width:].std(axis=0), 1e-9)
            x, wanted = ((part - middle) / unit for part in table)
            rate = train.clicks / train.impressions
            penalty = np.diag(np.r_[np.full(width, embedding), np.full(x.shape[1] - width, surface)])
            weights = np.linalg.solve(x.T @ x + penalty, x.T @ (rate - rate.mean()))
            return np.maximum(rate.mean() + wanted @ weights, 0.001)

        return predict

    truth = earlier.clicks / earlier.impressions
    fits = {
        pair: _cross_fitted(earlier, rates(*pair)) for pair in itertools.product((10.0, 30.0, 100.0), (300.0, 1000.0))
    }
    best = min(fits, key=lambda pair: float(((fits[pair] - truth) ** 2).mean()))
    newest = np.isin(earlier.group, earlier.group[np.sort(np.unique(earlier.group, return_index=True)[1])][-NEWEST:])
    level = earlier.clicks[newest].sum() / earlier.impressions[newest].sum()
    return fits[best], rates(*best)(earlier, later) * level / fits[best].mean()


def _cross_fitted(arms: Arms, predict: Callable[[Arms, Arms], np.ndarray]) -> np.ndarray:
    fold = folds_of(arms.story, FOLDS, seed=0)
    values = np.zeros(len(fold))
    for part in range(FOLDS):
        values[fold == part] = predict(arms.take(fold != part), arms.take(fold == part))
    return values


def _interval(values: np.ndarray) -> tuple[float, float]:
    """95 % Student interval of the mean over seeds."""
    from scipy.stats import t

    half = float(t.ppf(0.975, max(len(values) - 1, 1)) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _spread(values: np.ndarray) -> str:
    low, high = _interval(values)
    return f"{low:.1f} to {high:.1f}"


if __name__ == "__main__":
    main()
