"""Which columns a contextual policy sees of options and subjects, which products it has, and what it guesses of them.

Here: an option as the sum of its parts, the groups of products and the spread each is guessed to have.
Not here: values as numbers (encoding), the posterior (product_model), choosing (contextual).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.policies.choice import Context, Option, Value
from orchestration.learning.policies.decision_rows import DecisionRows
from orchestration.learning.policies.encoding import INTERCEPT, Encoding, learn_encoding
from orchestration.learning.policies.product_model import Products

ITSELF = "="  # the part that stands for the option as a whole, beyond the sum of its parts
CONTROL = "!"  # the part that only the control has
POOL = ""  # the feature that is the pool
GUESSES = {"level": 3.0, "subject": 0.5, "part": 0.3, "itself": 0.15, "interaction": 0.15}
"""Prior spreads in log odds. For amounts, in shares of the mean reward."""


def encodings(rows: DecisionRows) -> tuple[Encoding, Encoding]:
    """The columns that options and subjects of the decisions need. Options of one part are that part."""
    options = [dict(option.parts) for option in rows.catalogue]
    if len({name for parts in options for name in parts}) > 1 or not any(options):
        options = [dict(with_itself(option, True)) for option in rows.catalogue]
    if (rows.chosen < 0).any():
        options.append({CONTROL: CONTROL})
    subjects = [{POOL: pool, **features} for pool, features in zip(rows.pools, rows.features, strict=True)]
    return learn_encoding(options, at_most=64, logs=True), learn_encoding(subjects)


def all_products(options: Encoding, subjects: Encoding) -> tuple[Products, list[str]]:
    """Every product of a column of options and one of subjects, in groups. What an option is beyond its parts is
    the same for all; the control differs in general and between pools."""
    names: dict[str, int] = {}
    triples = []
    for a, part in enumerate(options.groups):
        for b, of in enumerate(subjects.groups):
            if (part == ITSELF and of != INTERCEPT) or (part == CONTROL and of not in (INTERCEPT, POOL)):
                continue
            triples.append((a, b, names.setdefault(f"{part} x {of}", len(names))))
    option, subject, group = np.array(triples).T
    return Products(option=option, subject=subject, group=group), list(names)


def choice_columns(options: Encoding, products: Products) -> NDArray[np.int64]:
    """Products that can change a choice: not those that all options share, nor the control's."""
    can = np.array([name not in (INTERCEPT, CONTROL) for name in options.groups])
    return np.flatnonzero(can[products.option])


def guess(name: str) -> float:
    """The prior spread of a group of products, in log odds or in shares of the mean reward."""
    part, _, of = name.partition(" x ")
    if part == INTERCEPT:
        return GUESSES["level" if of == INTERCEPT else "subject"]
    if of == INTERCEPT:
        return GUESSES["itself" if part == ITSELF else "part"]
    return GUESSES["interaction"]


def with_itself(option: Option, itself: bool) -> Mapping[str, Value]:
    """The option's parts, and with `itself` one for the option as a whole."""
    return {**option.parts, ITSELF: option.option_id} if itself else option.parts


def subject_values(context: Context) -> Mapping[str, Value]:
    """The subject's features, its pool among them."""
    return {POOL: context.pool, **context.features}
