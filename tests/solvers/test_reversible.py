"""Reversible methods: that steps can be undone, their order, and their stability, which is weak."""

import itertools
import math

import pytest
import torch
from torch.autograd import gradcheck

from node_tutorial import odeint, solve
from node_tutorial.solvers.methods.reversible import REVERSIBLE

f64 = {"dtype": torch.float64}
every = pytest.mark.parametrize("method", REVERSIBLE)
both_directions = pytest.mark.parametrize(
    "span", [(0.0, 2.0), (2.0, 0.0)], ids=["forward", "backward"]
)
Y0 = torch.tensor([[1.0, 0.3], [-0.5, 2.0]], **f64)


def driven(t, y):
    """A pendulum whose pivot is shaken; neither linear, nor autonomous, nor separable."""
    q, v = y.unbind(-1)
    return torch.stack([v, -torch.sin(q) * (1 + torch.cos(3 * t)) - 0.05 * v], -1)


def there(pair, f, y, h, steps):
    state = pair.start(f, 0.0, y)
    for n in range(steps):
        state = pair.step(f, n * h, h, state)
    return state


def back(pair, f, state, h, steps):
    for n in reversed(range(steps)):
        state = pair.inverse(f, n * h, h, state)
    return state


def distance(a, b):
    return max((x - z).abs().max().item() for x, z in zip(a, b))


# ---- Undoing steps ----


@pytest.mark.parametrize("h", [0.01, -0.01, 0.3])
@every
def test_a_step_from_any_state_is_undone(method, h):
    """Also from states that no solve passes through, whose parts are unrelated."""
    pair = REVERSIBLE[method]
    parts = len(pair.start(driven, 0.0, Y0))
    assert parts == {"reversible_heun": 3, "asynchronous_leapfrog": 2}[method]
    random = torch.randn(2, 2, 2, **f64, generator=torch.Generator().manual_seed(0))
    state = (*random, driven(torch.tensor(0.7, **f64), random[1]))[
        :parts
    ]  # the slope of Heun's belongs to its x
    after = pair.step(driven, 0.7, h, state)
    assert distance(after, state) > abs(h) / 10
    assert distance(pair.inverse(driven, 0.7, h, after), state) < 1e-14


@pytest.mark.parametrize("h", [0.01, -0.01])
@every
def test_a_thousand_steps_are_undone_to_rounding(method, h):
    pair = REVERSIBLE[method]
    start = pair.start(driven, 0.0, Y0)
    end = there(pair, driven, Y0, h, 1000)
    assert distance(end, start) > 0.1
    assert distance(back(pair, driven, end, h, 1000), start) < 1e-12


@every
def test_unequal_steps_are_undone_too(method):
    pair = REVERSIBLE[method]
    grid = (
        torch.rand(200, generator=torch.Generator().manual_seed(0), **f64)
        .cumsum(0)
        .mul(0.02)
        .tolist()
    )
    states = [pair.start(driven, grid[0], Y0)]
    for t, t1 in itertools.pairwise(grid):
        states.append(pair.step(driven, t, t1 - t, states[-1]))
    state = states[-1]
    for t, t1, before in reversed(list(zip(grid, grid[1:], states))):
        state = pair.inverse(driven, t, t1 - t, state)
        assert distance(state, before) < 1e-13


@every
def test_undoing_costs_one_evaluation_as_the_step_does(method):
    calls = []

    def field(t, y):
        calls.append(t)
        return driven(t, y)

    pair = REVERSIBLE[method]
    state = there(pair, field, Y0, 0.1, 10)
    assert len(calls) == 11
    back(pair, field, state, 0.1, 10)
    assert len(calls) == 21
    assert solve(field, Y0, torch.linspace(0, 1, 11, **f64), method=method).stats.nfe == 11


# ---- As solvers ----


@every
def test_a_first_step_is_that_of_a_runge_kutta_method(method):
    t = torch.tensor([0.2, 0.5], **f64)
    twin = {"reversible_heun": "heun2", "asynchronous_leapfrog": "midpoint"}[method]
    torch.testing.assert_close(
        odeint(driven, Y0, t, method=method), odeint(driven, Y0, t, method=twin)
    )


@both_directions
@pytest.mark.parametrize("points", [8, 331], ids=["on the grid", "between its points"])
@every
def test_halving_the_step_shows_order_2(method, points, span):
    t = torch.linspace(*span, points + 1, **f64)
    exact = odeint(driven, Y0, t, method="dopri8", rtol=1e-13, atol=1e-13)
    errors = [
        (odeint(driven, Y0, t, method=method, options={"step_size": 2 / n}) - exact)
        .abs()
        .max()
        .item()
        for n in (160, 320)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


@both_directions
@every
def test_unequal_steps_keep_the_order(method, span):
    def error(n):
        s = torch.linspace(0, 1, n + 1, **f64)
        t = span[0] + (span[1] - span[0]) * (s + 0.1 * torch.sin(2 * math.pi * s))
        exact = odeint(driven, Y0, t, method="dopri8", rtol=1e-13, atol=1e-13)
        return (odeint(driven, Y0, t, method=method) - exact).abs().max().item()

    assert math.log2(error(160) / error(320)) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    "options", [{"step_size": 0.23}, {}, {"step_size": 0.23, "interp": "linear"}], ids=str
)
@pytest.mark.parametrize(
    "times", [[0.1, 0.3, 0.45, 0.9], [0.9, 0.45, 0.3, 0.1]], ids=["forward", "backward"]
)
@every
def test_backpropagation_gives_the_gradient_of_the_computed_solution(method, times, options):
    w = torch.tensor([[0.1, 1.0], [-1.0, 0.2]], **f64, requires_grad=True)
    y0 = Y0.clone().requires_grad_()
    t = torch.tensor(times, **f64, requires_grad=True)

    def run(y0, w, t):
        return odeint(
            lambda t, y: torch.tanh(y @ w) * torch.cos(t), y0, t, method=method, options=options
        )

    assert gradcheck(run, (y0, w, t), atol=1e-6)


@every
def test_perturb_is_refused_as_each_step_would_forget_the_last(method):
    with pytest.raises(
        ValueError, match=rf"^unknown option 'perturb' for method '{method}'.*interp"
    ):
        odeint(driven, Y0, torch.linspace(0, 1, 3), method=method, options={"perturb": True})


# ---- Stability, as the module's docstring says ----


@every
def test_only_rotations_of_less_than_one_radian_a_step_stay_bounded(method):
    def largest(h):
        y0 = torch.ones(1, dtype=torch.complex128)
        y = odeint(lambda t, y: 1j * y, y0, h * torch.arange(2001, **f64), method=method)
        return y.abs().max().item()

    assert largest(0.1) < 1.01 and largest(0.99) < 10 and largest(1.01) > 1e10


@every
def test_decay_is_overgrown_in_time(method):
    t = torch.arange(201, **f64) / 10
    y = odeint(lambda t, y: -y, torch.ones((), **f64), t, method=method)
    error = (y - torch.exp(-t)).abs()
    assert [error[: 10 * n + 1].max().item() for n in (4, 10, 20)] == pytest.approx(
        [6.3e-4, 0.134, 2904], rel=0.01
    )
    assert all(error[151:200] * error[150:199] > 0) and all(
        (y[101:] * y[100:-1]) < 0
    )  # it changes its sign each step


def test_both_take_the_same_steps_on_a_linear_autonomous_problem():
    matrix = torch.randn(3, 3, **f64, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0, 2, 30, **f64)
    ys = [
        odeint(lambda t, y: matrix @ y, torch.ones(3, **f64), t, method=method)
        for method in REVERSIBLE
    ]
    torch.testing.assert_close(*ys, rtol=1e-9, atol=1e-9)
