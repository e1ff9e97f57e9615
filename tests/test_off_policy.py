"""Values of policies that never ran, with intervals that hold, or an honest refusal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning.proof.mean_interval import mean_interval
from orchestration.learning.proof.off_policy import METHODS, NotEnoughOverlap, evaluate


def softmax(scores):
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


class Bandit:
    """Six actions, three features; expected rewards, logging policy and target are known."""

    def __init__(self, level=-1.5, sharpness=1.0, actions=6):
        rng = np.random.default_rng(99)
        self.taste, self.habit = rng.standard_normal((2, 3, actions)) * 0.6
        self.level, self.sharpness = level, sharpness
        contexts = rng.standard_normal((200_000, 3))
        self.value = float((self.expected(contexts) * self.target(contexts)).sum(axis=1).mean())

    def expected(self, contexts):
        return 1 / (1 + np.exp(-(self.level + contexts @ self.taste)))

    def logging(self, contexts):
        return 0.8 * softmax(self.sharpness * contexts @ self.habit) + 0.2 / self.taste.shape[1]

    def target(self, contexts):
        return 0.9 * softmax(2 * contexts @ self.taste) + 0.1 / self.taste.shape[1]

    def log(self, rng, n, clusters=None):
        """`n` logged decisions; those of a cluster share context and choice, and four in five share their luck."""
        shared = np.arange(n) if clusters is None else clusters
        contexts = rng.standard_normal((n, 3))[shared]
        chances = self.logging(contexts)
        chosen = (chances.cumsum(axis=1) > rng.random(n)[shared, None]).argmax(axis=1)
        luck = np.where(rng.random(n) < 0.8, rng.random(n)[shared], rng.random(n))
        rows = np.arange(n)
        expected = self.expected(contexts)
        return {
            "rewards": (luck < expected[rows, chosen]).astype(float),
            "propensities": chances[rows, chosen],
            "chosen": chosen,
            "target": self.target(contexts),
            "predicted": 0.7 * expected + 0.05,  # a model that is of use, and wrong
        }


def covers(estimate, truth):
    return estimate.low <= truth <= estimate.high


@pytest.mark.parametrize(("level", "n"), [(-1.5, 1500), (-4.5, 4000)])
def test_intervals_cover_the_known_value_as_often_as_they_say(level, n):
    bandit, rng = Bandit(level), np.random.default_rng(1)
    logs = [bandit.log(rng, n) for _ in range(240)]
    for method in METHODS:
        share = np.mean([covers(evaluate(method, **log), bandit.value) for log in logs])
        assert 0.91 <= share <= 0.98, method  # two standard errors of 240 logs; the benchmark measures closer


def test_clusters_widen_the_interval_to_what_is_true():
    bandit, rng = Bandit(), np.random.default_rng(2)
    member = np.repeat(np.arange(500), 3)
    logs = [bandit.log(rng, 1500, clusters=member) for _ in range(300)]
    naive = np.mean([covers(evaluate("snips", **log), bandit.value) for log in logs])
    robust = [evaluate("snips", **log, clusters=member) for log in logs]
    assert naive < 0.88
    assert 0.92 <= np.mean([covers(one, bandit.value) for one in robust]) <= 0.98
    assert np.mean([one.effective_sample_size for one in robust]) < 500


def test_shrinkage_is_no_worse_than_dr_with_a_useful_model_and_with_a_useless_one():
    bandit, rng = Bandit(-2.0, sharpness=3.0), np.random.default_rng(3)
    errors = {}
    for _ in range(200):
        log = bandit.log(rng, 800)
        for model in ("useful", "useless"):
            if model == "useless":
                log["predicted"] = np.full_like(log["predicted"], log["rewards"].mean())
            for method in ("dm", "dr", "dr_shrinkage"):
                made = (evaluate(method, **log).value - bandit.value) ** 2
                errors.setdefault((model, method), []).append(made)
    mean = {key: np.mean(values) for key, values in errors.items()}
    assert mean["useful", "dr_shrinkage"] < 1.02 * mean["useful", "dr"]
    assert mean["useless", "dr_shrinkage"] < 1.02 * mean["useless", "dr"]
    assert mean["useless", "dr_shrinkage"] < 0.5 * mean["useless", "dm"]


def test_a_target_that_the_log_hardly_chose_is_refused_with_a_remedy():
    log = Bandit().log(np.random.default_rng(4), 400)
    log["propensities"][:3] = 1e-4
    with pytest.raises(NotEnoughOverlap, match=r"effective sample size is too small: .*Log more turns") as refusal:
        evaluate("snips", **log)
    assert refusal.value.number < refusal.value.needed == 30
    assert refusal.value.remedy


def test_five_clicks_are_too_few_whatever_the_number_of_rows():
    log = Bandit().log(np.random.default_rng(5), 5000)
    log["rewards"] = np.zeros(5000)
    log["rewards"][:5] = 1.0
    with pytest.raises(NotEnoughOverlap, match="effective number of rewards"):
        evaluate("ips", **log)


def test_wrong_propensities_show_in_the_average_weight():
    log = Bandit().log(np.random.default_rng(6), 4000)
    log["propensities"] = np.minimum(log["propensities"] * 2, 1.0)
    with pytest.raises(NotEnoughOverlap, match=r"do not average 1: .*Check the propensities"):
        evaluate("dr", **log)


def test_a_model_is_needed_where_a_method_uses_one():
    log = Bandit().log(np.random.default_rng(7), 100)
    del log["predicted"]
    with pytest.raises(ValueError, match="dr needs `predicted`"):
        evaluate("dr", **log)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"propensities": np.zeros(50)}, "had probability 0"),
        ({"target": np.full((50, 6), 0.2)}, "sum to 1"),
        ({"chosen": np.full(50, 6)}, "indices of the 6 actions"),
        ({"rewards": np.full(50, np.nan)}, "not known yet"),
        ({"rewards": np.zeros(49)}, "one shape"),
        ({"predicted": np.zeros((50, 5))}, "of the shape of `target`"),
        ({"clusters": np.zeros(49)}, "label every decision"),
    ],
)
def test_what_cannot_be_is_refused_by_name(change, said):
    log = Bandit().log(np.random.default_rng(8), 50) | change
    with pytest.raises(ValueError, match=said):
        evaluate("dr", **log)


@given(st.integers(0, 1000), st.sampled_from(METHODS), st.floats(0.01, 50), st.floats(-5, 5))
@settings(max_examples=12, deadline=None)
def test_estimates_follow_the_unit_of_the_reward_and_the_order_of_rows_does_not_matter(seed, method, scale, shift):
    rng = np.random.default_rng(seed)
    log = Bandit().log(rng, 300)
    plain = evaluate(method, **log)
    order = rng.permutation(300)
    shuffled = evaluate(method, **{name: values[order] for name, values in log.items()})
    scaled = evaluate(method, **log | {"rewards": scale * log["rewards"], "predicted": scale * log["predicted"]})
    assert shuffled.value == pytest.approx(plain.value)
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx(
        (scale * plain.value, scale * plain.low, scale * plain.high)
    )
    assert plain.kept is None if method != "dr_shrinkage" else 0 <= plain.kept <= 1
    if method in ("snips", "dm", "dr_shrinkage"):  # the others see a shift wherever the weights do not average 1
        moved = evaluate(method, **log | {"rewards": log["rewards"] + shift, "predicted": log["predicted"] + shift})
        assert moved.value == pytest.approx(plain.value + shift)


def test_on_policy_all_methods_but_the_model_give_the_plain_mean():
    log = Bandit().log(np.random.default_rng(9), 500)
    log["target"] = np.full((500, 6), 1 / 6)
    log["propensities"] = np.full(500, 1 / 6)
    log["predicted"] = np.zeros((500, 6))
    for method in ("ips", "snips", "dr", "dr_shrinkage"):
        made = evaluate(method, **log)
        assert made.value == pytest.approx(log["rewards"].mean())
        assert made.effective_sample_size == pytest.approx(500)


def test_a_skewed_mean_is_covered_where_students_interval_is_not():
    rng = np.random.default_rng(10)
    draws = rng.lognormal(0, 1.2, size=(800, 60))
    truth = np.exp(0.72)
    made = [mean_interval(row) for row in draws]
    student = np.mean([abs(row.mean() - truth) < 2.001 * row.std(ddof=1) / np.sqrt(60) for row in draws])
    share = np.mean([one.low <= truth <= one.high for one in made])
    assert share > 0.92 > student + 0.02


def test_a_constant_has_an_interval_of_no_width_and_one_row_none_at_all():
    assert mean_interval(np.full(5, 2.0)).low == mean_interval(np.full(5, 2.0)).high == 2.0
    with pytest.raises(ValueError, match="at least two"):
        mean_interval(np.ones(10), clusters=np.zeros(10))
