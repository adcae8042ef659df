"""AugmentedODE: states of a plain solve from the augmented start, what only it can do, refusals."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn

from node_tutorial import fit, odeint
from node_tutorial.data import reflection
from node_tutorial.gradients import GRADIENT_MODES
from node_tutorial.models import MLP, AugmentedODE, NeuralODE, VectorField

X = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.1, -0.6]], dtype=torch.float64)
T = torch.linspace(0, 1, 5, dtype=torch.float64)


def field(dims):
    torch.manual_seed(0)
    return VectorField(MLP(dims + 1, 16, dims).double(), time=True)


class Turn(nn.Module):
    """The plane turns by half a turn in a unit of time."""

    def forward(self, t, y):
        return math.pi * torch.stack([-y[..., 1], y[..., 0]], dim=-1)


@pytest.mark.parametrize("gradient", [mode for mode in GRADIENT_MODES if mode != "reversible"])
@pytest.mark.parametrize("extra", [0, 1, 3])
def test_zeros_are_appended_and_solved_along(extra, gradient):
    f = field(2 + extra)
    model = AugmentedODE(f, extra, rtol=1e-8, atol=1e-9, gradient=gradient)
    start = torch.cat([X, torch.zeros(3, extra, dtype=torch.float64)], 1)
    expected = odeint(f, start, T, rtol=1e-8, atol=1e-9)
    assert torch.equal(model(X, T), expected) and expected.shape == (5, 3, 2 + extra)
    wanted = torch.autograd.grad(expected.square().sum(), list(f.parameters()))
    found = torch.autograd.grad(model(X, T).square().sum(), list(f.parameters()))
    assert all(torch.allclose(a, b, rtol=1e-5, atol=1e-6) for a, b in zip(found, wanted))


def test_without_extra_entries_it_is_a_neural_ode():
    assert torch.equal(AugmentedODE(field(2), 0)(X, T), NeuralODE(field(2))(X, T))


def test_a_lift_is_appended_and_trained():
    lift = nn.Linear(2, 3).double()
    f = field(5)
    model = AugmentedODE(f, lift)
    assert torch.equal(model.augment(X), torch.cat([X, lift(X)], 1))
    states = model(X, T)
    assert states.shape == (5, 3, 5) and model.stats.nfe > 0
    states[-1].sum().backward()
    assert lift.weight.grad is not None and lift.weight.grad.abs().min() > 0
    assert sum(p.numel() for p in model.parameters()) == sum(
        p.numel() for m in (f, lift) for p in m.parameters()
    )


@pytest.mark.parametrize("shape", [(2,), (3, 2), (4, 3, 2)])
def test_any_batch_dimensions_are_kept(shape):
    x = torch.randn(shape, dtype=torch.float64)
    assert AugmentedODE(field(3), 1)(x, T).shape == (5, *shape[:-1], 3)


def test_one_more_dimension_realizes_the_reflection():
    x, target = reflection()
    states = AugmentedODE(Turn(), 1, rtol=1e-9, atol=1e-9)(x.double(), T)
    assert torch.allclose(states[-1], torch.cat([target, torch.zeros(2, 1)], 1).double(), atol=1e-7)
    middle = states[2]
    assert torch.allclose(middle[:, 0], torch.zeros(2).double(), atol=1e-7), (
        "they pass each other at x = 0 ..."
    )
    assert (middle[0] - middle[1]).norm() == pytest.approx(2, abs=1e-7), "... one above the other"


def test_training_finds_the_reflection_with_and_only_with_an_extra_dimension():
    (x, target) = reflection()
    losses = {}
    for extra in (0, 1):
        torch.manual_seed(0)
        model = AugmentedODE(VectorField(MLP(1 + extra, 16, 1 + extra)), extra)
        fit(
            model,
            lambda m, _: (m(x, T.float())[-1, :, :1] - target).square().mean(),
            100,
            lr=0.03,
            progress=False,
        )
        losses[extra] = (model(x, T.float())[-1, :, :1] - target).square().mean().item()
    assert losses[0] > 1 and losses[1] < 0.01


def test_a_model_survives_copying_pickling_and_its_state_dict():
    model = AugmentedODE(field(5), nn.Linear(2, 3).double(), rtol=1e-6)
    states = model(X, T)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(X, T), states)
    fresh = AugmentedODE(
        VectorField(MLP(6, 16, 5).double(), time=True), nn.Linear(2, 3).double(), rtol=1e-6
    )
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(X, T), states)


@pytest.mark.parametrize("extra", [1.0, "1", True, None])
def test_what_is_no_number_of_dimensions_is_refused(extra):
    with pytest.raises(
        TypeError, match=r"extra must be the number of zeros .* nn\.Linear\(2, 1\), got"
    ):
        AugmentedODE(field(3), extra)


def test_fewer_dimensions_than_the_data_are_refused():
    with pytest.raises(ValueError, match=r"extra must be zero or more, .* got -1"):
        AugmentedODE(field(3), -1)
