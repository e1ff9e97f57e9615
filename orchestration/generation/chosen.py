"""Chosen: the policy itself decides, which offer and at what price.

Here: the offers that compete, and the prices that may be asked for each.
Not here: what is learned of offers and prices (learning.policies).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestration.generation.pipeline import Alternative, Find, Generation, Passage, Subject
from orchestration.learning.policies.price_bounds import IN_FORCE, PriceBounds
from orchestration.loops.recipes import Recipe, Recipes


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """One of `offers` (name -> fields of the answer that it fills), and a price within `price` where it is given.

    `offer_field` and `price_field` are the answer's fields that hold the offer's name and the price. A price moves
    from the one in force for the subject; before there is one, from the fact named `price_field`, else from the middle.
    """

    offers: Mapping[str, Mapping[str, object]]
    offer_field: str | None
    price: PriceBounds | None = None
    price_field: str = "price"
    decides: bool = True
    recipes: Recipes = Recipes()
    corpus: str | None = None

    def __post_init__(self) -> None:
        if not self.offers and self.price is None:
            raise ValueError("Nothing to choose: name two offers, or a price within bounds.")

    @property
    def columns(self) -> tuple[str, ...]:
        return ()

    @property
    def fields(self) -> tuple[str, ...]:
        named = {name for filled in self.offers.values() for name in filled}
        own = [self.offer_field] if self.offer_field and self.offers else []
        return tuple(sorted({*named, *own, *([self.price_field] if self.price else [])}))

    @property
    def only_price(self) -> PriceBounds | None:
        return None if self.offers else self.price

    def known_of(self, subject: Subject) -> dict[str, float]:
        return {} if self.price is None else {IN_FORCE: self._in_force(subject, self.price)}

    def alternatives(self, subject: Subject, recipes: Sequence[Recipe]) -> tuple[Alternative, ...]:  # noqa: ARG002
        prices = self._prices(subject)
        offers = self.offers or {"": {}}
        found = []
        for offer, filled in offers.items():
            named = {**filled, **({self.offer_field: offer} if self.offer_field and offer else {})}
            about: dict[str, str | float] = {"offer": offer} if offer else {}
            if not prices:
                found.append(Alternative(name=offer, parts=about, fields=named))
            for price in prices:
                name = f"{offer} @ {price:.2f}" if offer else f"@ {price:.2f}"
                fields = {**named, self.price_field: price}
                found.append(Alternative(name=name, parts={**about, "price": price}, fields=fields))
        return tuple(found)

    def passages(self, subject: Subject, find: Find | None) -> tuple[Passage, ...]:  # noqa: ARG002
        return ()

    def _prices(self, subject: Subject) -> tuple[float, ...]:
        return () if self.price is None else self.price.ladder(self._in_force(subject, self.price))

    def _in_force(self, subject: Subject, bounds: PriceBounds) -> float:
        known = subject.in_force.get(self.price_field) or subject.facts.get(self.price_field)
        price = float(known) if known else round((bounds.floor * bounds.ceiling) ** 0.5, 2)
        return min(max(price, bounds.floor), bounds.ceiling)


def within(floor: float, ceiling: float, moves_at_most: float) -> PriceBounds:
    """Prices from `floor` to `ceiling`, which move by at most the share `moves_at_most` from one turn to the next.

    Where subjects have a feature `cost` (of a unit, in the price's currency), the loop's reward must be what is earned
    over it, such as Reward("purchase", less={"goods": 1.0}); without that feature it must be revenue.
    """
    return PriceBounds(floor=floor, ceiling=ceiling, moves_at_most=moves_at_most)


def chosen(
    offers: Sequence[str] | Mapping[str, Mapping[str, object]] = (),
    *,
    price: PriceBounds | None = None,
    offer_field: str | None = "offer",
    price_field: str = "price",
) -> Generation:
    """The policy chooses: an offer by name, with the fields of the answer that it fills, and a price within bounds."""
    named = dict(offers) if isinstance(offers, Mapping) else {name: {} for name in offers}
    step = Chosen(offers=named, offer_field=offer_field if named else None, price=price, price_field=price_field)
    return Generation(steps=(step,))
