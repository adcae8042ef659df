"""Fields and NeuralODE: shapes, time, counts, every gradient mode, and clear refusals."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

from node_tutorial import SolveError, odeint, solve
from node_tutorial.gradients import GRADIENT_MODES
from node_tutorial.models import MLP, NeuralODE, VectorField
from node_tutorial.solvers.compiled import compiler
from node_tutorial.solvers.compiled import solve as compiled


def field(dtype=torch.float64, **keywords):
    torch.manual_seed(0)
    return VectorField(MLP(3 if keywords else 2, 16, 2).to(dtype), **keywords)


Y0 = torch.tensor([[1.0, 0.5], [-0.3, 0.8]], dtype=torch.float64)
T = torch.linspace(0, 2, 5, dtype=torch.float64)


def settings(gradient):
    """A solver that the mode takes, and that computes the same in every mode that takes it."""
    if gradient == "reversible":
        return {"method": "reversible_heun", "options": {"step_size": 0.1}}
    return {"rtol": 1e-8, "atol": 1e-9}


@pytest.mark.parametrize("widths", [(2, 3), (2, 8, 3), (2, 8, 5, 3)])
def test_an_mlp_is_its_formula(widths):
    net = MLP(*widths, activation=nn.SiLU)
    x = torch.randn(4, 2)
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    expected = x
    for i, layer in enumerate(layers):
        expected = expected @ layer.weight.T + layer.bias
        if i < len(layers) - 1:
            expected = expected * torch.sigmoid(expected)
    assert torch.allclose(net(x), expected, atol=1e-6) and [
        layer.out_features for layer in layers
    ] == [*widths[1:]]


@pytest.mark.parametrize("widths", [(), (2,), (2, 0), (2, 3.0), ("2", 3)])
def test_an_mlp_refuses_what_is_no_width(widths):
    with pytest.raises(ValueError, match=r"two or more positive integers, such as MLP\(2, 32, 2\)"):
        MLP(*widths)


def test_a_field_appends_time_if_asked():
    autonomous, driven = field(), field(time=True)
    t = torch.tensor(0.7, dtype=torch.float64)
    assert torch.equal(autonomous(t, Y0), autonomous.net(Y0))
    assert torch.equal(
        driven(t, Y0), driven.net(torch.cat([Y0, torch.full((2, 1), 0.7, dtype=torch.float64)], 1))
    )
    assert torch.allclose(driven(t, Y0[0]), driven(t, Y0)[0], atol=1e-15)
    clocks = torch.tensor([[0.7], [1.5]], dtype=torch.float64)
    assert torch.allclose(driven(clocks, Y0)[1], driven(clocks[1, 0], Y0[1]), atol=1e-15)


def test_a_field_with_time_solves_with_one_clock_per_sample():
    driven = field(time=True)
    own = solve(driven, Y0, T, rtol=1e-9, atol=1e-9, per_sample=True).y
    assert torch.allclose(
        own.transpose(0, 1), odeint(driven, Y0, T, rtol=1e-9, atol=1e-9), atol=1e-7
    )


@pytest.mark.parametrize("gradient", GRADIENT_MODES)
def test_every_gradient_mode_gives_the_states_and_gradients_of_odeint(gradient):
    f = field()
    keywords = settings(gradient)
    model = NeuralODE(f, gradient=gradient, **keywords)
    y0 = Y0.clone().requires_grad_()
    expected = odeint(f, y0, T, **keywords)
    wanted = torch.autograd.grad(expected.square().sum(), (y0, *f.parameters()))
    states = model(y0, T)
    found = torch.autograd.grad(states.square().sum(), (y0, *model.parameters()))
    assert torch.equal(states, expected)
    for a, b in zip(found, wanted):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gradient", GRADIENT_MODES)
def test_evaluations_are_counted_forward_and_backward(gradient):
    calls = 0

    class Watched(VectorField):
        def forward(self, t, y):
            nonlocal calls
            calls += 1
            return super().forward(t, y)

    model = NeuralODE(Watched(MLP(2, 8, 2).double()), gradient=gradient, **settings(gradient))
    assert model.stats == (0, 0)
    states = model(Y0, T)
    assert model.stats == (calls, 0)
    forward = calls
    states.sum().backward()
    assert model.stats == (forward, calls - forward)
    assert (model.stats.nfe_backward == 0) == (gradient == "direct")
    model(Y0, T)
    assert model.stats == (forward, 0)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("gradient", GRADIENT_MODES)
def test_callbacks_of_the_field_are_called_as_by_odeint(gradient, compiled):
    if compiled and gradient != "direct":
        pytest.skip("compiled has a gradient of its own")

    class Watching(VectorField):
        steps, accepted = 0, 0

        def callback_step(self, t, y, h):
            self.steps += 1

        def callback_accept_step(self, t, y, h):
            self.accepted += 1

    torch.manual_seed(0)
    f = Watching(MLP(2, 8, 2).double())
    keywords = settings(gradient)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # fixed steps have no accepted ones; callbacks: not compiled
        odeint(f, Y0, T, **keywords)
        expected = (f.steps, f.accepted)
        assert expected[0] > 0
        f.steps = f.accepted = 0
        NeuralODE(f, gradient=gradient, compiled=compiled, **keywords)(Y0, T)
    assert (f.steps, f.accepted) == expected


def test_a_solve_that_fails_says_how_far_it_came():
    class Growing(nn.Module):
        def forward(self, t, y):
            return y * y

    model = NeuralODE(Growing(), options={"max_num_evaluations": 50})
    with pytest.raises(SolveError) as caught:
        model(torch.ones(2, dtype=torch.float64), T)
    assert torch.equal(caught.value.solution.t[:2], T[:2]) and model.stats.nfe_backward == 0


def test_another_field_is_solved_in_the_same_way():
    model = NeuralODE(
        field(), method="bosh3", rtol=1e-5, gradient="replay", options={"safety": 0.5}
    )
    other = model.with_field(field(time=True))
    assert repr(other).splitlines()[1:] != repr(model).splitlines()[1:]
    assert other.extra_repr() == model.extra_repr() and other.options == model.options


def test_the_count_of_a_direct_solve_is_that_of_solve():
    model = NeuralODE(field(), rtol=1e-5, atol=1e-6)
    model(Y0, T)
    assert model.stats.nfe == solve(model.func, Y0, T, rtol=1e-5, atol=1e-6).stats.nfe


def test_the_solver_is_the_one_asked_for():
    f = field()
    euler = NeuralODE(f, method="euler", options={"step_size": 0.25})
    assert torch.equal(euler(Y0, T), odeint(f, Y0, T, method="euler", options={"step_size": 0.25}))
    assert euler.stats.nfe == 8
    assert "method='euler'" in repr(euler) and "gradient='direct'" in repr(euler)


def test_a_compiled_model_gives_the_states_gradients_and_counts_of_odeint(monkeypatch):
    # The graph, as it is: no compiler needed.
    monkeypatch.setattr(compiled, "compile_program", lambda f, x, **_: compiler.trace(f, x))
    f = field()
    model = NeuralODE(f, rtol=1e-6, atol=1e-6, compiled=True)
    solution = solve(f, Y0, T, rtol=1e-6, atol=1e-6)
    wanted = torch.autograd.grad(solution.y.square().sum(), [*f.parameters()])
    states = model(Y0, T)
    assert model.stats == (solution.stats.nfe, 0)
    found = torch.autograd.grad(states.square().sum(), [*model.parameters()])
    assert model.stats == (solution.stats.nfe, 6 * solution.stats.accepted + 1)
    for a, b in zip((states, *found), (solution.y, *wanted), strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)
    assert "compiled=True" in repr(model)


def test_a_model_that_cannot_be_compiled_warns_and_runs():
    model = NeuralODE(field(), method="implicit_euler", options={"step_size": 0.5}, compiled=True)
    with pytest.warns(
        UserWarning, match="not compiled, .* 'implicit_euler' is no explicit Runge-Kutta method"
    ):
        states = model(Y0, T)
    plain = NeuralODE(model.func, method="implicit_euler", options={"step_size": 0.5})
    assert torch.equal(states, plain(Y0, T)) and model.stats == plain.stats


def test_a_tuple_state_gives_a_tuple():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(-1.0, dtype=torch.float64))

        def forward(self, t, state):
            return self.rate * state[0], state[0].sum(1)

    y, area = NeuralODE(Pair())((Y0, torch.zeros(2, dtype=torch.float64)), T)
    assert y.shape == (5, 2, 2) and area.shape == (5, 2)


def test_a_model_survives_copying_pickling_and_its_state_dict():
    model = NeuralODE(field(), rtol=1e-6)
    states = model(Y0, T)
    assert list(model.state_dict()) == [
        f"func.net.{i}.{name}" for i in (0, 2) for name in ("weight", "bias")
    ]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(Y0, T), states)
        other(torch.ones_like(Y0), T)
    fresh = NeuralODE(VectorField(MLP(2, 16, 2).double()), rtol=1e-6)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(Y0, T), states)


def test_two_solves_before_their_backward_passes_keep_their_own_counts():
    model = NeuralODE(field(), gradient="replay")
    first, second = model(Y0, T), model(Y0, T[:2])
    first.sum().backward()
    assert model.stats.nfe_backward == 0
    second.sum().backward()
    assert model.stats.nfe_backward > 0


@pytest.mark.parametrize(
    "make, error, message",
    [
        (
            lambda: NeuralODE(lambda t, y: -y),
            TypeError,
            r"func must be an nn\.Module with forward\(t, y\), got function",
        ),
        (
            lambda: NeuralODE(field(), gradient="ajoint"),
            ValueError,
            "gradient must be one of direct, adjoint",
        ),
        (lambda: NeuralODE(field(), method="dopri"), ValueError, "Did you mean 'dopri8'"),
        (
            lambda: NeuralODE(field(), gradient="replay", compiled=True),
            ValueError,
            "has a gradient of its own",
        ),
        (
            lambda: VectorField(lambda y: -y),
            TypeError,
            r"net must be an nn\.Module, such as MLP\(2, 32, 2\), got function",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
