"""Bytes kept for the backward pass: once per storage, and as the theory of each gradient says."""

import torch

from node_tutorial import odeint, odeint_adjoint
from node_tutorial.gradients.checkpoint import odeint_checkpoint
from node_tutorial.gradients.memory import bytes_kept
from node_tutorial.gradients.replay import odeint_replay


def test_a_storage_counts_once_through_all_its_views():
    x = torch.zeros(10, dtype=torch.float64, requires_grad=True)
    with bytes_kept() as kept:
        y = x.exp()  # keeps its result: 80 bytes
        (y[:5] * y[5:]).sum()  # keeps two views of it: nothing new
    assert kept.bytes == 80


def test_excluded_tensors_do_not_count():
    w, x = (
        torch.ones(4, requires_grad=True),
        torch.ones(4),
    )  # the product keeps x, for the gradient of w
    with bytes_kept() as everything:
        (w * x).sum()
    with bytes_kept(exclude=[x]) as others:
        (w * x).sum()
    assert (everything.bytes, others.bytes) == (16, 0)


def kept_with(mode, steps):
    torch.manual_seed(0)
    field = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2))
    y0 = torch.ones(32, 2, requires_grad=True)
    with bytes_kept(exclude=field.parameters()) as kept:
        mode(
            lambda t, y: field(y),
            y0,
            torch.tensor([0.0, 1.0]),
            method="rk4",
            options={"step_size": 1 / steps},
            **({} if mode is odeint else {"adjoint_params": tuple(field.parameters())}),
        )
    return kept.bytes


def test_backprop_and_replay_keep_more_with_every_step_and_the_others_do_not():
    for mode in (odeint, odeint_replay):
        assert 3.9 < kept_with(mode, 80) / kept_with(mode, 20) < 4.1
    for mode in (odeint_adjoint, odeint_checkpoint):
        assert kept_with(mode, 80) == kept_with(mode, 20)
    assert kept_with(odeint_replay, 80) < kept_with(odeint, 80) / 10
