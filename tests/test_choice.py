"""A choice is made from a context that reads the same whoever wrote it down."""

import pickle

import numpy as np
import pytest

from orchestration.learning.policies.choice import Context, Option

MILD = Option(option_id="mild", parts={"offer": "none", "price": 10})
WARM = Option(option_id="warm", parts={"offer": "ten_off", "price": np.float64(9.49)})


def test_the_same_context_gives_the_same_bytes_in_whichever_order_it_was_put_together():
    first = Context(pool="a", features={"age": 3, "tier": "gold"}, options=(WARM, MILD))
    second = Context(pool="a", features={"tier": "gold", "age": 3.0}, options=(MILD, WARM))
    assert first == second
    assert first.to_json() == second.to_json()


def test_a_context_survives_being_written_and_read():
    context = Context(pool="ä", format="mail", features={"age": 3.25}, options=(MILD, WARM))
    assert Context.from_json(context.to_json()) == context
    assert pickle.loads(pickle.dumps(context)) == context
    assert pickle.loads(pickle.dumps(WARM)) == WARM


@pytest.mark.parametrize("value", [None, True, float("nan"), [1]])
def test_what_is_neither_a_category_nor_a_number_is_refused_with_its_name(value):
    with pytest.raises(ValueError, match="'tier'"):
        Context(features={"tier": value})


def test_an_option_offered_twice_is_refused():
    with pytest.raises(ValueError, match="mild"):
        Context(options=(MILD, MILD))
