"""What a method says of itself, and how a new kind of one is added."""

import dataclasses
import math

import pytest
import torch

from node_tutorial import (
    METHODS,
    Method,
    Tableau,
    odeint,
    odeint_adjoint,
    odeint_replay,
    odeint_reversible,
    register_method,
    solve,
)
from node_tutorial.models import ODERNN
from node_tutorial.solvers.methods.registry import find_method
from node_tutorial.solvers.options import GRID, STEPS, Options
from node_tutorial.solvers.runge_kutta import Step, stage_times, time_tensor

f64 = {"dtype": torch.float64}
Y0 = torch.tensor([1.0, -0.5], **f64)
T = torch.linspace(0, 2, 21, **f64)


class ExponentialEuler:
    """y1 = y + h phi(h rate) f(t, y), phi(z) = (e^z - 1) / z: exact for y' = rate y."""

    order = 1

    def __init__(self, rate):
        self.rate = rate

    def step(self, f, t, y, h, f0=None, before_end=False):
        (start,) = stage_times((0.0,), t, h, y, before_end)
        f0 = f(start, y) if f0 is None else f0
        z = h * self.rate
        y1 = y + h * (math.expm1(z) / z) * f0
        return Step(t, h, y, y1, None, None, [f0])


class BDF2:
    """y1 = (4 y - y_before + 2 h f(t + h, y1)) / 3, by fixed-point iteration, with a history."""

    order = 2

    def __init__(self, setup):
        self.before = None
        self.rounds = setup.options.of_method.get("rounds", 50)

    def step(self, f, t, y, h, f0=None, before_end=False):
        f0 = f(time_tensor(t, y), y) if f0 is None else f0
        (t1,) = stage_times((1.0,), t, h, y, before_end)
        y1 = y + h * f0
        for _ in range(self.rounds):
            slope = f(t1, y1)
            if self.before is None:  # the first step: the trapezoid rule
                y1 = y + h / 2 * (f0 + slope)
            else:
                y1 = (4 * y - self.before + 2 * h * slope) / 3
        self.before = y
        return Step(t, h, y, y1, None, None, [f0])


def refuse_long_states(name, y0, shapes):
    if y0.numel() > 3:
        raise ValueError(f"method {name!r} takes three numbers at most, got {y0.numel()}")


@pytest.fixture
def registered():
    """Registers methods, and forgets them afterwards."""
    names = []

    def register(method):
        names.append(method.name)
        return register_method(method)

    yield register
    for name in names:
        METHODS.pop(name, None)


def exponential_euler(**fields):
    return Method("exponential_euler", 1, lambda setup: ExponentialEuler(-3.0), **fields)


def test_a_new_kind_of_method_is_solved_with_like_any_other(registered):
    method = registered(exponential_euler(replayable=True))
    assert registered(method) is method is METHODS["exponential_euler"]
    y0 = Y0.clone().requires_grad_()
    y = odeint(lambda t, y: -3 * y, y0, T, method="exponential_euler")
    exact = Y0 * torch.exp(-3 * T)[:, None]
    torch.testing.assert_close(y, exact, rtol=1e-12, atol=1e-14)
    (by_backprop,) = torch.autograd.grad(y.sum(), y0)
    again = odeint_replay(lambda t, y: -3 * y, y0, T, method="exponential_euler", adjoint_params=())
    (by_replay,) = torch.autograd.grad(again.sum(), y0)
    torch.testing.assert_close(by_replay, by_backprop, rtol=1e-12, atol=0)


def test_a_new_kind_may_keep_a_history_and_take_options_of_its_own(registered):
    registered(Method("bdf2", 2, BDF2, options=(*GRID, "rounds")))
    errors = []
    for h in (0.1, 0.05):
        y = odeint(
            lambda t, y: -t * y, Y0, T, method="bdf2", options={"step_size": h, "rounds": 60}
        )
        errors.append((y[-1] - Y0 * math.exp(-2)).abs().max().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)
    twice = [odeint(lambda t, y: -y, Y0, T, method="bdf2") for _ in range(2)]
    assert torch.equal(*twice)  # a history of its own for every solve
    with pytest.raises(ValueError, match=r"unknown option 'round'.*Did you mean 'rounds'"):
        odeint(lambda t, y: -y, Y0, T, method="bdf2", options={"round": 3})
    with pytest.raises(ValueError, match=r"odeint_replay redoes single steps, which method 'bdf2'"):
        odeint_replay(lambda t, y: -y, Y0, T, method="bdf2", adjoint_params=())
    with pytest.raises(ValueError, match=r"dense output, .*got 'bdf2'"):
        solve(lambda t, y: -y, Y0[:, None], T, method="bdf2", per_sample=True)
    assert not ODERNN(2, 3, method="bdf2").own_clocks and ODERNN(2, 3, method="tsit5").own_clocks


def test_a_new_kind_is_asked_whether_it_takes_the_state(registered):
    registered(exponential_euler(check=refuse_long_states))
    with pytest.raises(ValueError, match=r"'exponential_euler' takes three numbers at most, got 4"):
        odeint(lambda t, y: -3 * y, (Y0, Y0), T, method="exponential_euler")


def test_a_new_kind_may_choose_its_steps(registered):
    heun = find_method("adaptive_heun")
    registered(dataclasses.replace(heun, name="mine", dense="cubic", own_clocks=False))
    mine, theirs = (
        solve(lambda t, y: -t * y, Y0, T, method=name, rtol=1e-4, atol=1e-6)
        for name in ("mine", "adaptive_heun")
    )
    assert torch.equal(mine.y[-1], theirs.y[-1])
    assert mine.stats.accepted == theirs.stats.accepted > 5
    with pytest.raises(ValueError, match=r"per_sample=True needs .*dense output, .*got 'mine'"):
        solve(lambda t, y: -y, Y0[:, None], T, method="mine", per_sample=True)


def test_a_new_kind_may_have_a_loop_of_its_own(registered):
    def in_closed_form(setup, f, y0, times):
        t = torch.tensor(times, **f64)[:, None]
        n = int((t < 1.5).sum())
        return y0 * torch.exp(-t[:n]), "" if n == len(times) else "it ends at t = 1.5"

    registered(Method("closed_form", 0, solve=in_closed_form, options=()))
    y = odeint(lambda t, y: -y, Y0, T[:5], method="closed_form")
    torch.testing.assert_close(y, Y0 * torch.exp(-T[:5])[:, None])
    with pytest.raises(RuntimeError, match=r"it ends at t = 1\.5") as caught:
        odeint(lambda t, y: -y, Y0, T, method="closed_form")
    assert torch.equal(caught.value.solution.t, T[:15])


@pytest.mark.parametrize(
    "given, got",
    [("rk4", "got 'rk4', a name alone"), (None, "got None"), (ExponentialEuler, "got <class")],
)
def test_what_is_no_method_cannot_be_registered(given, got):
    with pytest.raises(TypeError, match=rf"method must be a Tableau, .*or a Method, .*; {got}"):
        register_method(given)
    assert all(isinstance(name, str) for name in METHODS)


def test_a_method_refuses_what_cannot_be_right():
    def make(name="x", order=1, stepper=BDF2, **fields):
        return Method(name, order, stepper, **fields)

    with pytest.raises(TypeError, match="name must be a string such as 'rk4', got 3"):
        make(name=3)
    with pytest.raises(ValueError, match=r"method 'x': order must be a whole number.*got 1\.5"):
        make(order=1.5)
    with pytest.raises(TypeError, match=r"'x' needs a stepper, .*got stepper=None and solve=None"):
        make(stepper=None)
    with pytest.raises(ValueError, match=r"dense must be 'cubic', 'linear' or rows.*got 'quartic'"):
        make(dense="quartic")
    with pytest.raises(ValueError, match="own_clocks needs adaptive=True"):
        make(own_clocks=True)


def test_a_name_belongs_to_one_method(registered):
    registered(exponential_euler())
    with pytest.raises(ValueError, match=r"'exponential_euler' exists already, with other steps"):
        register_method(exponential_euler(dense="linear"))
    with pytest.raises(ValueError, match=r"method 'rk4' exists already"):
        register_method(dataclasses.replace(exponential_euler(), name="rk4"))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_answers_the_same_questions(name):
    method = find_method(name)
    assert method.name == name and isinstance(method, Method)
    tableau = METHODS[name] if isinstance(METHODS[name], Tableau) else None
    assert method.adaptive == (tableau is not None and tableau.error is not None)
    assert method.implicit == (tableau is not None and tableau.implicit)
    assert method.own_clocks == (method.adaptive and not method.implicit)
    assert method.replayable == (tableau is not None or method.separable)
    known = method.known_options(None)
    assert ("first_step" in known) == method.adaptive
    assert set(known) <= {*GRID, *STEPS, "max_iters", "max_order", "solver"}
    assert "first_step" not in method.known_options({"step_size": 0.1})


@pytest.mark.parametrize("name", METHODS)
def test_a_method_does_what_it_says(name):
    method = find_method(name)
    y0 = torch.tensor([0.5, 0.2], **f64).requires_grad_()
    problem = {"method": name, "adjoint_params": ()}

    def field(t, y):
        return torch.stack([y[1], -y[0]])

    fixed = {} if method.solve else {"options": {"step_size": 0.1}}
    for mode, able in (
        (odeint_replay, method.replayable),
        (odeint_reversible, method.inverse is not None),
        (odeint_adjoint, not method.separable),
    ):
        if able:
            y = mode(field, y0, T[:4], **problem, **fixed)
            (gradient,) = torch.autograd.grad(y[-1].sum(), y0)
            turned = torch.stack([T[3].cos() - T[3].sin(), T[3].cos() + T[3].sin()])
            torch.testing.assert_close(gradient, turned, rtol=0.1, atol=0.05)
        else:
            with pytest.raises(ValueError, match=mode.__name__):
                mode(field, y0, T[:4], **problem, **fixed)


def test_no_options_are_the_defaults_of_the_options():
    from node_tutorial.solvers.options import read_options

    assert read_options(None, GRID, "rk4") is read_options({}, GRID, "rk4") == Options()
    assert read_options({"interp": None}, GRID, "rk4") == Options()
