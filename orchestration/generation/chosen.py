"""Chosen: the policy itself decides, which offer and at what price.

Here: the offers that compete, and the prices that may be asked for each.
Not here: what is learned of offers and prices (learning.policies).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestration.generation.answers import canonical
from orchestration.generation.pipeline import Alternative, Find, Generation, Passage, Subject
from orchestration.learning.policies.price_bounds import IN_FORCE, UNIT_COST, PriceBounds
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
        for offer, filled in self.offers.items():
            if not isinstance(offer, str) or not offer.strip():
                raise ValueError(f"An offer goes by its name, a text that is not empty; {offer!r} is none.")
            try:
                canonical(dict(filled))
            except (TypeError, ValueError) as fault:
                raise ValueError(f"The offer {offer!r} fills a field with what no answer can hold: {fault}.") from None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.price.cost,) if self.price and self.price.cost else ()

    @property
    def fields(self) -> tuple[str, ...]:
        named = {name for filled in self.offers.values() for name in filled}
        own = [self.offer_field] if self.offer_field and self.offers else []
        return tuple(sorted({*named, *own, *([self.price_field] if self.price else [])}))

    @property
    def only_price(self) -> PriceBounds | None:
        return None if self.offers else self.price

    def known_of(self, subject: Subject) -> dict[str, float]:
        if self.price is None:
            return {}
        cost = _number(subject.facts.get(self.price.cost)) if self.price.cost else None
        known = {IN_FORCE: self._in_force(subject, self.price), UNIT_COST: cost}
        return {name: number for name, number in known.items() if number is not None}

    def alternatives(self, subject: Subject, recipes: Sequence[Recipe]) -> tuple[Alternative, ...]:  # noqa: ARG002
        prices = self._prices(subject)
        if self.price is not None and not prices:
            return ()  # no allowed move leads inside the bounds: the subject is left alone
        offers = self.offers or {"": {}}
        found = []
        for offer, filled in offers.items():
            named = {**filled, **({self.offer_field: offer} if self.offer_field and offer else {})}
            about: dict[str, str | float] = {"offer": offer} if offer else {}
            if not prices:
                found.append(Alternative(name=offer, parts=about, fields=named))
            for price in prices:
                said = (
                    f"{price:.2f}" if price == round(price, 2) else repr(price)
                )  # one in force need not be whole cents
                name = f"{offer} @ {said}" if offer else f"@ {said}"
                fields = {**named, self.price_field: price}
                found.append(Alternative(name=name, parts={**about, "price": price}, fields=fields))
        return tuple(found)

    def passages(self, subject: Subject, find: Find | None) -> tuple[Passage, ...]:  # noqa: ARG002
        return ()

    def _prices(self, subject: Subject) -> tuple[float, ...]:
        """Prices that may be asked; none where the one in force cannot be read, or no allowed move leads inside."""
        in_force = self._in_force(subject, self.price) if self.price else None
        if self.price is None or in_force is None or not self.price.reaches(in_force):
            return ()
        if self.price.cost and _number(subject.facts.get(self.price.cost)) is None:
            return (in_force,) if self.price.allows(in_force, in_force) else ()  # what a price earns is not known
        return self.price.ladder(in_force)

    def _in_force(self, subject: Subject, bounds: PriceBounds) -> float | None:
        """The price in force, else the one that the subject came with, else the middle; None for what is no price."""
        known = _number(subject.in_force.get(self.price_field))
        came = subject.facts.get(self.price_field, "").strip()
        if known is not None or came:
            return known if known is not None else _number(came)
        return round((bounds.floor * bounds.ceiling) ** 0.5, 2)


def within(floor: float, ceiling: float, moves_at_most: float, cost: str | None = None) -> PriceBounds:
    """Prices from `floor` to `ceiling`, which move by at most the share `moves_at_most` from one turn to the next.

    `cost` names the fact that holds what a unit costs, in the price's currency: the loop's reward must then be what is
    earned over it, such as Reward("purchase", less={"goods": 1.0}). Without it, the reward must be revenue. The price
    of a subject whose cost is not known stays where it is; a subject whose price cannot be read, or lies so far outside
    that no allowed move leads inside, is left alone.
    """
    return PriceBounds(floor=floor, ceiling=ceiling, moves_at_most=moves_at_most, cost=cost)


def chosen(
    offers: Sequence[str] | Mapping[str, Mapping[str, object]] = (),
    *,
    price: PriceBounds | None = None,
    offer_field: str | None = "offer",
    price_field: str = "price",
) -> Generation:
    """The policy chooses: an offer by name, with the fields of the answer that it fills, and a price within bounds."""
    if isinstance(offers, str):
        raise ValueError(f"chosen({offers!r}): give a list of offers, not one text.")
    named = dict(offers) if isinstance(offers, Mapping) else {name: {} for name in offers}
    if len(named) < len(offers):
        raise ValueError(f"chosen({list(offers)}) offers something twice: name every offer once.")
    step = Chosen(offers=named, offer_field=offer_field if named else None, price=price, price_field=price_field)
    return Generation(steps=(step,))


def _number(value: object) -> float | None:
    """A positive, finite number; None for what is not one."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
