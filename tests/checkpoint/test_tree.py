"""Any nested state comes back as it was: values, types, order, bits."""

import random
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.states import assert_same, states
from trainyard_api.errors import TrainyardError
from trainyard_trainer.checkpoint.tree import flatten, unflatten


@given(states())
@settings(max_examples=200, deadline=None)
def test_what_is_taken_apart_is_put_together_again(state: Any) -> None:
    skeleton, tensors = flatten(state)
    assert_same(unflatten(skeleton, [tensor for _, tensor in tensors]), state)


@given(st.dictionaries(st.sampled_from(["$tensor", "$dict", "$float", "plain"]), st.integers() | st.text(), max_size=2))
def test_keys_that_look_like_our_own_marks_are_only_keys(state: dict[str, Any]) -> None:
    assert unflatten(*flatten(state)) == state


def test_random_number_generators_come_back() -> None:
    state = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    skeleton, tensors = flatten(state)
    found = unflatten(skeleton, [tensor for _, tensor in tensors])
    assert found["python"] == state["python"]
    random.setstate(found["python"])
    np.random.set_state(found["numpy"])
    torch.set_rng_state(found["torch"])


def test_tied_weights_are_kept_once_and_stay_tied() -> None:
    weight = torch.ones(3, 3)
    skeleton, tensors = flatten({"embedding": weight, "head": weight, "turned": weight.t()})
    assert [name for name, _ in tensors] == ["embedding", "turned"]
    found = unflatten(skeleton, [tensor for _, tensor in tensors])
    assert found["embedding"] is found["head"]


def test_parameters_become_tensors_and_numpy_numbers_become_plain() -> None:
    skeleton, tensors = flatten({"p": torch.nn.Parameter(torch.ones(2)), "n": np.float32(0.1), "b": np.True_})
    found = unflatten(skeleton, [tensor for _, tensor in tensors])
    assert not found["p"].requires_grad
    assert (type(found["n"]), found["n"]) == (float, float(np.float32(0.1)))
    assert found["b"] is True


def test_dicts_of_any_kind_keep_their_order() -> None:
    assert list(unflatten(*flatten(OrderedDict(z=1, a=2, m=3)))) == ["z", "a", "m"]
    assert list(unflatten(*flatten({3: "x", 1: "y"}))) == [3, 1]


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", 1j, torch.ones(2).to_sparse(), torch.ones(2, device="meta"), np.array(["text"])],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_held_is_named_with_its_place(value: Any) -> None:
    with pytest.raises(TrainyardError) as caught:
        flatten({"optimizer": [0, {"x": value}]})
    assert caught.value.where == "state['optimizer'][1]['x']"
    assert caught.value.cause == "StateNotSavable"
