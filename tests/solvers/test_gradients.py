"""Gradients through the steps of `odeint`, with respect to the state, the times and parameters."""

import pytest
import torch
from torch.autograd import gradcheck

from node_tutorial import METHODS, odeint

ADAPTIVE = [name for name, method in METHODS.items() if getattr(method, "error", None)]
GENERAL = {name for name, method in METHODS.items() if not getattr(method, "separable", False)}
f64 = {"dtype": torch.float64}


def grid_for(method, step):
    """Options that make any method, but scipy's, take steps of one size."""
    adams = {"max_iters": 50, "max_order": 6} if method.endswith("adams") else {}
    return {} if method == "scipy_solver" else {"step_size": step, **adams}


def check_gradients(method, times, options):
    """Gradients with respect to y0, t and a parameter, against finite differences."""
    y0 = torch.tensor([1.0, 0.5], **f64, requires_grad=True)
    w = torch.tensor([[0.1, 1.0], [-1.0, 0.2]], **f64, requires_grad=True)
    t = torch.tensor(times, **f64, requires_grad=True)

    def run(y0, w, t):
        return odeint(
            lambda t, y: torch.tanh(w @ y) * torch.cos(t), y0, t, method=method, options=options
        )

    return gradcheck(run, (y0, w, t), atol=1e-6)


@pytest.mark.parametrize(
    "times", [[0.1, 0.3, 0.45, 0.9], [0.9, 0.45, 0.3, 0.1]], ids=["forward", "backward"]
)
@pytest.mark.parametrize("method", sorted(GENERAL - {"scipy_solver"}))
def test_gradients_are_those_of_the_computed_solution(method, times):
    if method in ADAPTIVE:  # with steps of one size, so that they don't move with the inputs
        options = {"controller": lambda *_: (True, 1.0), "first_step": 0.31}
    else:
        options = grid_for(method, 0.23)
    assert check_gradients(method, times, options)


@pytest.mark.parametrize("options", [{}, {"perturb": True}], ids=["plain", "perturb"])
@pytest.mark.parametrize("method", ["euler", "rk4", "explicit_adams"])
def test_gradients_with_respect_to_times_that_are_the_grid(method, options):
    assert check_gradients(method, [0.1, 0.3, 0.45, 0.6, 0.8], options)


@pytest.mark.parametrize("method", ["midpoint", "rk4", "dopri5"])
def test_an_output_time_that_happens_to_be_a_grid_point_moves_too(method):
    t = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], **f64, requires_grad=True)
    y = odeint(
        lambda t, y: torch.cos(t) * y,
        torch.ones((), **f64),
        t,
        method=method,
        options={"step_size": 0.125},
    )
    for i in range(1, 5):
        slope = torch.autograd.grad(y[i], t, retain_graph=True)[0][i]
        torch.testing.assert_close(slope, torch.cos(t[i]) * y[i], rtol=0.02, atol=0)


def test_gradients_with_freely_chosen_steps_are_those_of_the_exact_solution():
    y0, w = (torch.tensor(x, **f64, requires_grad=True) for x in (1.5, 0.7))
    t = torch.tensor([0.2, 0.5, 1.0], **f64, requires_grad=True)
    y = odeint(lambda t, y: w * t * y, y0, t)
    exact = y0 * torch.exp(w * (t**2 - t[0] ** 2) / 2)
    weights = torch.tensor([1.0, -2.0, 3.0], **f64)
    ours, theirs = (torch.autograd.grad((weights * x).sum(), (y0, w, t)) for x in (y, exact))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def test_gradients_of_tuple_states_and_of_complex_states():
    t = torch.tensor([0.0, 0.25, 0.5], **f64, requires_grad=True)
    a = torch.tensor([1.0, 0.3], **f64, requires_grad=True)
    b = torch.tensor(0.5, **f64, requires_grad=True)
    steps = {"method": "rk4", "options": {"step_size": 0.2}}
    assert gradcheck(
        lambda a, b, t: odeint(lambda t, y: (y[1] * y[0], y[0].sum() * t), (a, b), t, **steps),
        (a, b, t),
    )
    z = torch.tensor([1.0 + 0.5j], dtype=torch.complex128, requires_grad=True)
    rate = torch.tensor(0.3 - 1j, dtype=torch.complex128, requires_grad=True)
    assert gradcheck(lambda z, r, t: odeint(lambda t, y: r * y * t, z, t, **steps), (z, rate, t))


def test_the_initial_time_moves_but_a_jump_does_not():
    t = torch.tensor([0.0, 1.0], **f64, requires_grad=True)
    y = odeint(
        lambda t, y: torch.ones_like(y) * (1.0 if t < 0.5 else 2.0),
        torch.zeros(1, **f64),
        t,
        options={"jump_t": torch.tensor([0.5], **f64)},
    )
    torch.testing.assert_close(
        torch.autograd.grad(y[-1, 0], t)[0], torch.tensor([-1.0, 2.0], **f64)
    )


def test_no_graph_is_built_without_need():
    y0 = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert not odeint(lambda t, y: -y, y0, torch.linspace(0, 1, 4)).requires_grad
    assert not odeint(lambda t, y: -y, torch.ones(2), torch.linspace(0, 1, 4)).requires_grad
