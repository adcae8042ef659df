"""The gradient by undoing steps: that of backpropagation, in memory that is flat in the steps."""

from functools import partial

import pytest
import torch

from node_tutorial import odeint, odeint_event
from node_tutorial.gradients.memory import bytes_kept
from node_tutorial.gradients.reversible import odeint_reversible
from node_tutorial.solvers.methods.reversible import REVERSIBLE

f64 = {"dtype": torch.float64}
every = pytest.mark.parametrize("method", REVERSIBLE)
TIMES = {"forward": [0.0, 0.3, 1.0, 2.0, 2.5], "backward": [2.0, 1.0, 0.1]}
OPTIONS = {
    "the times are the grid": {},
    "step_size": {"step_size": 0.17},
    "step_size that meets output times": {"step_size": 0.1},
    "linear output": {"step_size": 0.17, "interp": "linear"},
    "many steps": {"step_size": 0.002},
}


class Field(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)
        ).double()
        self.calls = 0

    def forward(self, t, y):
        self.calls += 1
        return self.net(y) * torch.cos(3 * t) - 0.3 * y


def start():
    return torch.tensor([[1.0, 0.0], [0.2, 0.4]], **f64, requires_grad=True)


def weighted(y):
    return (y * torch.linspace(-1, 1, y.numel(), **f64).reshape(y.shape).cos()).sum()


def value_and_gradients(mode, method, times, options):
    field = Field()
    y0 = start()
    t = torch.tensor(times, **f64, requires_grad=True)
    y = mode(field, y0, t, method=method, options=options)
    gradients = torch.autograd.grad(weighted(y), [y0, t, *field.parameters()])
    return torch.cat([x.detach().reshape(-1) for x in (y, *gradients)])


def growing(rate, end, method, h=0.01):
    """dL/dy0, L = |y(end)|^2 / 2, for y' = rate y (1 + y / 10), y0 = 1: by undoing, by backprop."""
    y0 = torch.ones(
        1,
        dtype=torch.complex128 if isinstance(rate, complex) else torch.float64,
        requires_grad=True,
    )
    t = torch.tensor([0.0, end], **f64)
    results = []
    for mode, more in ((odeint_reversible, {"adjoint_params": ()}), (odeint, {})):
        y = mode(
            lambda t, y: rate * y * (1 + 0.1 * y),
            y0,
            t,
            method=method,
            options={"step_size": h},
            **more,
        )
        results.append(torch.autograd.grad(y[-1].abs().square().sum() / 2, y0)[0].item())
    return results


# ---- Values ----


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@every
def test_it_equals_backpropagation_through_the_solve(method, options, times):
    direct, ours = (
        value_and_gradients(mode, method, times, options) for mode in (odeint, odeint_reversible)
    )
    torch.testing.assert_close(ours, direct, rtol=1e-10, atol=1e-12)


@every
def test_rounding_grows_where_solutions_decay_or_grow_and_not_where_they_rotate(method):
    def error(rate, end):
        ours, direct = growing(rate, end, method)
        return abs(ours - direct) / abs(direct)

    for rate in (-1.0, 1.0, 1j):
        assert error(rate, 2.0) < 1e-13
    assert error(1j, 30.0) < 1e-12
    assert error(-1.0, 5.0) < 1e-13
    assert error(-1.0, 20.0) > 1e-10


@every
def test_the_way_back_ends_where_the_docstring_says(method):
    pair = REVERSIBLE[method]
    ends = {}
    for rate in (-1.0, 1j):
        for steps in (500, 1000, 2000):
            f = partial(lambda rate, t, y: rate * y, rate)
            state = pair.start(f, 0.0, torch.ones((), dtype=torch.complex128))
            for _ in range(steps):
                state = pair.step(f, 0.0, 0.01, state)
            for _ in range(steps):
                state = pair.inverse(f, 0.0, 0.01, state)
            ends[rate, steps] = abs(state[0].item() - 1)
    assert ends[-1, 500] < 1e-14 and ends[-1, 1000] < 1e-12 and 1e-6 < ends[-1, 2000] < 1e-4
    assert max(ends[1j, steps] for steps in (500, 1000, 2000)) < 1e-14


@every
def test_the_time_of_an_event_is_differentiable(method):
    def gradients(interface):
        field = Field()
        y0 = torch.tensor([[1.0, 0.0]], **f64, requires_grad=True)
        t, y = odeint_event(
            field,
            y0,
            torch.tensor(0.0, **f64),
            event_fn=lambda t, y: y[0, 0] - 0.8,
            method=method,
            options={"step_size": 0.01},
            odeint_interface=interface,
        )
        return t, torch.autograd.grad(t + y[-1].sum(), [y0, *field.parameters()])

    (t, ours), (t_direct, direct) = gradients(odeint_reversible), gradients(odeint)
    assert t.item() == pytest.approx(t_direct.item(), abs=1e-6)
    for a, b in zip(ours, direct):
        torch.testing.assert_close(
            a, b, rtol=1e-4, atol=1e-5
        )  # it ends on the event; the other interpolates


@every
def test_an_event_at_the_start_is_that_state(method):
    t, y = odeint_reversible(
        Field(),
        start(),
        torch.tensor([0.0, 1.0], **f64),
        method=method,
        event_fn=lambda t, y: t,
        options={"step_size": 0.1},
    )
    assert t == 0 and torch.equal(y[1], start())


# ---- States, parameters ----


@every
def test_tuples_complex_states_and_other_callables_get_gradients(method):
    w = torch.tensor(0.7 - 0.2j, dtype=torch.complex128, requires_grad=True)
    y0 = (
        torch.ones(2, dtype=torch.complex128, requires_grad=True),
        torch.zeros((), dtype=torch.complex128),
    )
    t = torch.linspace(0, 1, 3, **f64)

    def gradients(mode, **more):
        a, b = mode(
            lambda t, y: (-w * y[0], y[0].sum() * t),
            y0,
            t,
            method=method,
            options={"step_size": 0.1},
            **more,
        )
        return torch.autograd.grad(a[-1].abs().sum() + b.abs().sum(), (w, y0[0]))

    for ours, direct in zip(gradients(odeint_reversible, adjoint_params=(w,)), gradients(odeint)):
        torch.testing.assert_close(ours, direct, rtol=1e-12, atol=1e-13)


def test_frozen_parameters_get_no_gradient_and_unused_ones_none():
    field = Field()
    field.net[0].weight.requires_grad_(False)
    field.unused = torch.nn.Parameter(torch.ones(3, **f64))
    odeint_reversible(
        field, start().detach(), torch.tensor(TIMES["forward"], **f64)
    ).sum().backward()
    assert field.net[0].weight.grad is None and field.unused.grad is None
    assert field.net[2].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@every
def test_both_precisions_work(method, dtype):
    y0 = start().detach().to(dtype).requires_grad_()
    field = Field().to(dtype)
    results = []
    for mode in (odeint_reversible, odeint):
        y = mode(field, y0, torch.tensor([0.0, 1.0]), method=method, options={"step_size": 0.01})
        results.append(torch.autograd.grad(y[-1].sum(), y0)[0])
    assert results[0].dtype == dtype
    torch.testing.assert_close(*results, rtol=1e-4 if dtype == torch.float32 else 1e-12, atol=1e-5)


def test_one_time_gives_the_initial_state_and_the_gradient_one():
    y0 = start()
    y = odeint_reversible(Field(), y0, torch.tensor([0.5], **f64))
    assert torch.equal(torch.autograd.grad(y.sum(), y0)[0], torch.ones_like(y0))


def test_the_graph_can_be_used_twice():
    y0 = start()
    y = odeint_reversible(
        Field(), y0, torch.tensor(TIMES["forward"], **f64), options={"step_size": 0.1}
    )
    first, second = (torch.autograd.grad(y.sum(), y0, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


# ---- Cost ----


@every
def test_memory_is_flat_in_the_number_of_steps(method):
    def kept(mode, steps, points=2):
        field = Field()
        y0 = torch.ones(32, 2, **f64, requires_grad=True)
        with bytes_kept(exclude=field.parameters()) as counted:
            y = mode(
                field,
                y0,
                torch.linspace(0, 1, points, **f64),
                method=method,
                options={"step_size": 1 / steps},
            )
        assert y.requires_grad
        return counted.bytes

    state = 32 * 2 * 8
    parts = {"reversible_heun": 3, "asynchronous_leapfrog": 2}[method]
    assert kept(odeint_reversible, 10) == kept(odeint_reversible, 1000) == (1 + parts) * state
    assert kept(odeint_reversible, 10, points=500) == (1 + parts) * state
    assert kept(odeint, 1000) > 1000 * state


@every
def test_a_step_costs_one_evaluation_forward_and_two_backward(method):
    field = Field()
    y0 = start()
    y = odeint_reversible(
        field, y0, torch.tensor([0.0, 1.0], **f64), method=method, options={"step_size": 0.01}
    )
    assert field.calls == 101
    y[-1].sum().backward()
    assert field.calls == 101 + 200


def test_without_need_of_gradients_nothing_is_kept():
    with torch.no_grad():
        assert not odeint_reversible(
            Field(), start(), torch.tensor([0.0, 1.0], **f64)
        ).requires_grad


# ---- What is refused ----


@pytest.mark.parametrize("method", ["rk4", "dopri5", "leapfrog", "implicit_adams", None])
def test_methods_that_cannot_be_undone_are_refused(method):
    able = "reversible_heun, asynchronous_leapfrog"
    message = f"undoes its steps, which method .* cannot; use one of {able}, or odeint"
    with pytest.raises(ValueError, match=message):
        odeint_reversible(Field(), start(), torch.linspace(0, 1, 3), method=method)


def test_other_errors_are_those_of_odeint():
    t = torch.linspace(0, 1, 3)
    with pytest.raises(
        ValueError, match=r"^unknown method 'reversible_huen'. Did you mean 'reversible_heun'"
    ):
        odeint_reversible(Field(), start(), t, method="reversible_huen")
    with pytest.raises(
        ValueError,
        match=r"^func is a function, not an nn\.Module.*odeint_reversible.*adjoint_params=",
    ):
        odeint_reversible(lambda t, y: -y, start(), t)
    with pytest.raises(
        ValueError, match=r"^odeint_reversible gives no gradient of t through a grid_constructor"
    ):
        odeint_reversible(
            Field(),
            start(),
            t.clone().requires_grad_(),
            options={"grid_constructor": lambda f, y, t: t},
        )


def test_a_grid_constructor_makes_the_grid():
    def quadratic(func, y0, t):
        return t[0] + (t[-1] - t[0]) * torch.linspace(0, 1, 30, **f64) ** 2

    t = torch.tensor([0.0, 0.4, 1.0], **f64)
    gradients = []
    for mode in (odeint, odeint_reversible):
        field = Field()
        y0 = start()
        y = mode(field, y0, t, method="reversible_heun", options={"grid_constructor": quadratic})
        gradients.append(torch.autograd.grad(weighted(y), [y0, *field.parameters()]))
    for direct, ours in zip(*gradients):
        torch.testing.assert_close(ours, direct, rtol=1e-12, atol=1e-14)
