"""Simulated worlds whose truth is known, one for each way of delivery: titles, offers, programs, and prices.

Here: a loop's declaration with its subjects, and what any answer is truly worth for any of them.
Not here: turning the loop (testing.turning), meeting what it releases (responses) and what is measured (benchmarks).

What an option adds is drawn anew for every seed: which of them is best, in general, for a pool, and for a subject by
what is known of it. A `strength` of 0 makes a world indifferent: no answer is worth more than what is there anyway.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel

from orchestration.assignment import point
from orchestration.delivery import PerUnit, SharedTraffic, Trial
from orchestration.generation import Shown, chosen, in_rounds, scored, within, written
from orchestration.generation.calls import Request
from orchestration.guards import on, rule, words
from orchestration.loops.declaration import Loop, Outcome, Reward, Subjects, days
from orchestration.loops.lives import each_turn
from orchestration.loops.recipes import Recipes
from orchestration.worlds.simulated.responses import RespondingAudience

Expected = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, float]]
"""From an answer's fields and the facts of its subject to the expected amount of each outcome."""
ROUNDS = 2
TEXT_SPREAD = 0.15  # of a title's own effect, on the log rate
UNITS = 150  # readers of an article in a turn
STYLES = ("asking", "plain", "listing")
OFFERS = ("bundle", "ten_off", "points", "free_delivery")
APPROACHES = ("careful", "hasty", "stepwise")
FLOOR, CEILING, MOVES_AT_MOST = 6.6, 18.0, 0.15


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A loop in its world. `script` writes for it, `audience` meets it; where either is None, the loop needs none."""

    loop: Loop
    subjects: Sequence[Mapping[str, str]]
    expected: Expected
    script: Callable[[Request], str | Mapping[str, Any]] | None = None
    audience: RespondingAudience | None = None

    @property
    def is_priced(self) -> bool:
        """Whether a price is all that is chosen."""
        return self.loop.generation.price_bounds is not None

    def worth(self, answer: Mapping[str, Any], facts: Mapping[str, Any]) -> float:
        """True expected reward of an answer for a subject with these facts."""
        found, weights = self.expected(answer, facts), self.loop.reward.weights
        return sum(weight * found.get(outcome, 0.0) for outcome, weight in weights.items())


class Title(BaseModel):
    """What a reader sees of an article."""

    title: Annotated[str, Shown()]


class Offer(BaseModel):
    """What a customer is offered."""

    offer: Annotated[str, Shown()]


class Program(BaseModel):
    """What is written for a specification."""

    code: Annotated[str, Shown()]


class Priced(BaseModel):
    """What a product costs a customer."""

    price: Annotated[float, Shown()]


def titles(folder: Path, seed: int, *, strength: float = 1.0, articles: int = 40) -> Shape:
    """Shared traffic: readers open an article by its title; a style works better or worse, by topic, and so does a
    title by itself. Recipes are written to `folder`."""
    rng = np.random.default_rng([seed, 1])
    subjects = [
        {
            "article": f"s{seed}a{number}",
            "about": f"thing {number}",
            "topic": f"topic {number % 4}",
            "title_now": f"Article number {number}",
            "form": "title",
        }
        for number in range(articles)
    ]
    style = dict(zip(STYLES, rng.permutation([0.45, 0.1, -0.2]), strict=True))
    own = {(name, f"topic {topic}"): 0.1 * rng.standard_normal() for name in STYLES for topic in range(4)}
    level = {one["about"]: 0.2 * float(np.exp(0.2 * rng.standard_normal())) for one in subjects}

    def expected(answer: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, float]:
        title = answer["title"]
        name = title.split()[0].lower()
        lift = 0.0
        if name in style:
            lift = style[name] + own[name, facts["topic"]] + TEXT_SPREAD * _normal(f"{seed}:{title}")
        return {"opened": min(level[facts["about"]] * float(np.exp(strength * lift)), 0.95)}

    loop = Loop(
        name=f"titles_{seed}",
        subjects=Subjects(key="article", facts=("about", "topic"), original="title_now", pool="topic", format="form"),
        generation=written(_recipes(folder, "title", STYLES)),
        answer=Title,
        guards=(on("title", words(at_most=8)),),
        delivery=SharedTraffic(unit="reader", holdout=0.2),
        outcomes=(Outcome("opened", within=days(1)),),
        reward=Reward("opened"),
    )
    return Shape(
        loop=loop,
        subjects=subjects,
        expected=expected,
        script=partial(_scripted, STYLES, "{style} title number {seed}"),
        audience=RespondingAudience(response=_by_facts(expected, subjects, "article"), seed=seed, units=UNITS),
    )


def offers(seed: int, *, strength: float = 1.0, customers: int = 600) -> Shape:
    """Per unit: a customer buys, or leaves, by the offer; which is best depends on the region and on past orders."""
    rng = np.random.default_rng([seed, 2])
    subjects = [
        {
            "customer": f"s{seed}c{number:05d}",
            "orders": str(int(rng.integers(0, 10))),
            "months": str(int(rng.integers(1, 60))),
            "region": ("north", "south", "east")[number % 3],
            "offer_now": "none",
        }
        for number in range(customers)
    ]
    general = dict(zip(OFFERS, rng.permutation([1.1, 0.5, 0.0, -0.5]), strict=True))
    own = {(offer, region): 0.4 * rng.standard_normal() for offer in OFFERS for region in ("north", "south", "east")}
    slope = {offer: 0.4 * rng.standard_normal() for offer in OFFERS}
    level = {region: -1.1 + 0.2 * rng.standard_normal() for region in ("north", "south", "east")}
    annoys = OFFERS[int(rng.integers(len(OFFERS)))]

    def expected(answer: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, float]:
        offer, region = answer["offer"], facts["region"]
        lift = 0.0
        if offer in general:
            lift = general[offer] + own[offer, region] + slope[offer] * (float(facts["orders"]) - 4.5) / 2.9
        leaves = 0.04 * strength if offer == annoys else 0.0
        return {"purchase": float(1 / (1 + np.exp(-level[region] - strength * lift))), "unsubscribe": leaves}

    loop = Loop(
        name=f"offers_{seed}",
        subjects=Subjects(
            key="customer",
            facts=("orders", "months", "region"),
            features=("orders", "months"),
            original="offer_now",
            pool="region",
            lives=each_turn(),
            personal=("customer",),
        ),
        generation=chosen({offer: {} for offer in OFFERS}),
        answer=Offer,
        guards=(rule("known", "An offer of the shop.", lambda answer, _: answer["offer"] in OFFERS),),
        delivery=PerUnit(unit="customer", holdout=0.2),
        outcomes=(Outcome("purchase", within=days(7)), Outcome("unsubscribe", within=days(7))),
        reward=Reward("purchase", less={"unsubscribe": 2.0}),
    )
    audience = RespondingAudience(response=_by_facts(expected, subjects, "customer"), seed=seed, reached=0.9)
    return Shape(loop=loop, subjects=subjects, expected=expected, audience=audience)


def programs(folder: Path, seed: int, *, strength: float = 1.0, tasks: int = 200) -> Shape:
    """Trial: a program passes by the approach it was asked for with, by kind of task; whoever fails may try again.

    A test is a plain function: whether a draft passes is settled by its text, so that a trial can be repeated.
    Recipes are written to `folder`.
    """
    rng = np.random.default_rng([seed, 3])
    subjects = [
        {
            "task": f"s{seed}t{number}",
            "asked": f"double {number}",
            "kind": ("arithmetic", "text", "dates")[number % 3],
            "code_now": "pass",
            "form": "code",
        }
        for number in range(tasks)
    ]
    chances = dict(zip(APPROACHES, rng.permutation([0.55, 0.3, 0.2]), strict=True))
    kinds = ("arithmetic", "text", "dates")
    own = {(name, kind): 0.05 * float(rng.standard_normal()) for name in APPROACHES for kind in kinds}

    def passes(answer: Mapping[str, Any], facts: Mapping[str, Any]) -> float:
        name = answer["code"].split()[1]
        return float(np.clip(0.35 + strength * (chances[name] - 0.35 + own[name, facts["kind"]]), 0.02, 0.98))

    def tried(answer: Mapping[str, Any], facts: Mapping[str, str]) -> float:
        return float(point(f"{seed}:{facts['asked']}", answer["code"]) < passes(answer, facts))

    def expected(answer: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, float]:
        fails = 1 - passes(answer, facts)
        return {"passed": 1 - fails**ROUNDS, "rounds": sum(fails**number for number in range(ROUNDS))}

    loop = Loop(
        name=f"programs_{seed}",
        subjects=Subjects(
            key="task",
            facts=("asked", "kind"),
            original="code_now",
            pool="kind",
            format="form",
            lives=each_turn(),
        ),
        generation=in_rounds(written(_recipes(folder, "code", APPROACHES)), scored(tried), at_most=ROUNDS),
        answer=Program,
        guards=(rule("short", "At most 20 lines.", lambda answer, _: answer["code"].count("\n") <= 20),),
        delivery=Trial(holdout=0.2),
        outcomes=(Outcome("passed", within=days(1)), Outcome("rounds", within=days(1), has_value=True)),
        reward=Reward("passed", less={"rounds": 0.05}),
    )
    script = partial(_scripted, APPROACHES, "# {style} draft {seed}\n")
    return Shape(loop=loop, subjects=subjects, expected=expected, script=script)


def prices(seed: int, *, customers: int = 1200) -> Shape:
    """Per unit, a price: a customer buys a product by its price, and the shop earns what is left of it over the cost.

    Demand has an elasticity by product, and first prices are a guess that lies below or above the best. What a unit
    cost the shop comes as an outcome of its own, along with the purchase: no amount is negative, their difference may.
    """
    rng = np.random.default_rng([seed, 4])
    shelf = {}
    for number in range(3):
        cost, elasticity = round(float(rng.uniform(5.5, 6.5)), 2), -2.4 + 0.2 * float(rng.standard_normal())
        away = rng.uniform(0.72, 0.8) if rng.random() < 0.7 else rng.uniform(1.3, 1.45)
        start = round(cost * elasticity / (1 + elasticity) * float(away), 2)
        shelf[f"product {number}"] = (cost, start, elasticity, float(rng.uniform(0.35, 0.45)))
    subjects = []
    for number in range(customers):
        product = f"product {number % 3}"
        cost, start, _, _ = shelf[product]
        subjects.append(
            {
                "customer": f"s{seed}c{number:05d}",
                "months": str(int(rng.integers(1, 200))),
                "product": product,
                "cost": str(cost),
                "price": str(start),
                "price_now": f'{{"price": {start}}}',
            }
        )

    def demand(answer: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, float]:
        _, start, elasticity, rate = shelf[facts["product"]]
        return {"purchase": min(rate * (float(answer["price"]) / start) ** elasticity, 0.95)}

    def expected(answer: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, float]:
        bought = demand(answer, facts)["purchase"]
        return {"purchase": bought * float(answer["price"]), "goods": bought * float(facts["cost"])}

    loop = Loop(
        name=f"prices_{seed}",
        subjects=Subjects(
            key="customer",
            facts=("months", "product", "cost", "price"),
            original="price_now",
            pool="product",
            lives=each_turn(),
            personal=("customer",),
        ),
        generation=chosen(price=within(floor=FLOOR, ceiling=CEILING, moves_at_most=MOVES_AT_MOST, cost="cost")),
        answer=Priced,
        guards=(rule("positive", "A price above zero.", lambda answer, _: answer["price"] > 0),),
        delivery=PerUnit(unit="customer", holdout=0.2),
        outcomes=(
            Outcome("purchase", within=days(7), has_value=True),
            Outcome("goods", within=days(7), has_value=True),
        ),
        reward=Reward("purchase", less={"goods": 1.0}),
    )
    by_key = {one["customer"]: one for one in subjects}
    audience = RespondingAudience(
        response=_by_facts(demand, subjects, "customer"),
        seed=seed,
        values={"purchase": "price", "goods": lambda answer, item: float(by_key[item["subject_id"]]["cost"])},  # noqa: ARG005
        along={"goods": "purchase"},
    )
    return Shape(loop=loop, subjects=subjects, expected=expected, audience=audience)


def world(name: str, folder: Path, seed: int, strength: float = 1.0) -> Shape:
    """The world of that name: `titles`, `offers`, `programs` or `prices`. Recipes are written to `folder`."""
    if name == "titles":
        return titles(folder, seed, strength=strength)
    if name == "programs":
        return programs(folder, seed, strength=strength)
    return offers(seed, strength=strength) if name == "offers" else prices(seed)


RECIPE = """---
format: {form}
style: {style}
languages: [en]
max_tokens: 20
temperature: 0.5
---

## system

Write one, {style}.

## user

{{{{ facts }}}}
"""


def _recipes(folder: Path, form: str, styles: Sequence[str]) -> Recipes:
    folder.mkdir(parents=True, exist_ok=True)
    for style in styles:
        (folder / f"{form}-{style}.md").write_text(RECIPE.format(form=form, style=style), encoding="utf-8")
    return Recipes(folder)


def _scripted(styles: Sequence[str], text: str, request: Request) -> str:
    """The text in the style that the request asks for, told apart by its seed."""
    asked = request.messages[0]["content"]
    style = next(style for style in styles if style in asked)
    return text.format(style=style, seed=request.seed)


def _by_facts(response: Expected, subjects: Sequence[Mapping[str, str]], key: str) -> Expected:
    """The response to an item of the outbox, which names its subject as the sender does."""
    by_key = {one[key]: one for one in subjects}
    return lambda answer, item: response(answer, by_key[item["subject_id"]])


def _normal(name: str) -> float:
    """A draw from the standard normal that is the same for the same name."""
    from scipy.special import ndtri

    return float(ndtri(np.clip(point("normal", name), 1e-9, 1 - 1e-9)))
