"""Parameters in a byte each: what comes back is near, and of the right net."""

import numpy as np
import pytest
import torch

from node_tutorial.course.packed import packed, unpacked
from node_tutorial.models import UNet


def net(seed=0, widths=(8, 16)):
    torch.manual_seed(seed)
    return UNet(widths=widths)


def test_what_is_unpacked_is_what_was_packed_to_a_part_in_250_of_each_row():
    state = net().state_dict()
    again = unpacked(*packed(state).values(), net(1).state_dict())
    assert again.keys() == state.keys()
    for name, value in state.items():
        error = (again[name] - value).abs()
        if value.dim() < 2:
            assert torch.equal(again[name], value.half().float())
        else:
            most = value.flatten(1).abs().amax(1)
            assert (error.flatten(1).amax(1) <= 0.51 / 127 * most + 1e-6).all()


def test_packing_again_changes_nothing():
    once = packed(net().state_dict())
    twice = packed(unpacked(*once.values(), net().state_dict()))
    assert all(np.array_equal(once[key], twice[key]) for key in once)


def test_it_takes_a_byte_for_each_parameter_and_a_little_more():
    state = net().state_dict()
    numbers = sum(value.numel() for value in state.values())
    assert sum(array.nbytes for array in packed(state).values()) < 1.35 * numbers


def test_a_row_of_zeros_stays_one():
    state = {"weight": torch.zeros(2, 3), "bias": torch.ones(2)}
    again = unpacked(*packed(state).values(), state)
    assert torch.equal(again["weight"], state["weight"])


@pytest.mark.parametrize("widths", [(8, 8), (8, 24), (8, 16, 16)])
def test_another_net_is_refused(widths):
    arrays = packed(net().state_dict())
    with pytest.raises(ValueError, match="are of another net than the one with"):
        unpacked(arrays["bytes"], arrays["halves"], net(widths=widths).state_dict())
