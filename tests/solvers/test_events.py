"""Events against closed forms: their times and states, and the derivatives of both."""

import math

import pytest
import scipy.integrate
import torch
import torchdiffeq
from torch.autograd import gradcheck

from node_tutorial import METHODS, SolveError, odeint, odeint_adjoint, odeint_event

G = 9.81
f64 = {"dtype": torch.float64}
INTERFACES = {"direct": odeint, "adjoint": odeint_adjoint, "torchdiffeq": torchdiffeq.odeint}
METHODS_WITH_EVENTS = sorted(METHODS.keys() - {"scipy_solver"})
T0 = torch.tensor(0.5, **f64)


def tensor(*values, **kwargs):
    return torch.tensor(values, **f64, **kwargs)


class Ball(torch.nn.Module):
    """Height and speed of a body in free fall."""

    def __init__(self, g=G):
        super().__init__()
        self.g = torch.nn.Parameter(torch.tensor(g, **f64))

    def forward(self, t, y):
        return torch.stack([y[1], -self.g])


def height(t, y):
    return y[0]


def options_for(method, step):
    return {} if getattr(METHODS[method], "error", None) else {"step_size": step}


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("method", METHODS_WITH_EVENTS)
def test_a_falling_body_lands_when_it_should(method, reverse):
    y0 = tensor(1.0, -2.0 if reverse else 2.0)
    options = options_for(method, 1e-3 if method.endswith("euler") else 0.01)
    t, y = odeint_event(
        Ball(), y0, T0, event_fn=height, reverse_time=reverse, method=method, options=options
    )
    duration = (2 + math.sqrt(4 + 2 * G)) / G
    sign = -1 if reverse else 1
    atol = 2e-3 if method.endswith("euler") else 1e-6
    torch.testing.assert_close(t, T0 + sign * duration, rtol=0, atol=atol)
    torch.testing.assert_close(
        y, torch.stack([y0, tensor(0.0, sign * (2 - G * duration))]), rtol=0, atol=10 * atol
    )
    assert abs(y[1, 0]) < 1e-12  # found to rounding on the computed solution


def test_odeint_takes_an_event_too():
    y0 = tensor(1.0, 2.0)
    t, y = odeint(Ball(), y0, tensor(0.5, 0.6), event_fn=height)
    reference, states = odeint_event(Ball(), y0, T0, event_fn=height)
    torch.testing.assert_close((t, y), (reference, states))


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
def test_a_pendulum_crosses_a_line_when_scipy_says_so(reverse):
    def field(t, y):
        return torch.stack([y[1], -torch.sin(y[0]) - 0.1 * y[1]])

    def crossing(t, y):
        return y[0] + 0.3 * math.cos(t)

    crossing.terminal = True
    y0 = tensor(1.5, 0.2)
    t, y = odeint_event(
        field,
        y0,
        T0,
        reverse_time=reverse,
        rtol=1e-10,
        atol=1e-10,
        event_fn=lambda t, y: y[0] + 0.3 * torch.cos(t),
    )
    reference = scipy.integrate.solve_ivp(
        lambda t, y: field(t, torch.from_numpy(y)).numpy(),
        (0.5, -20.0 if reverse else 20.0),
        y0.numpy(),
        events=crossing,
        rtol=1e-11,
        atol=1e-11,
    )
    assert t.item() == pytest.approx(reference.t_events[0][0], abs=1e-7)
    assert y[1].tolist() == pytest.approx(reference.y_events[0][0], abs=1e-7)


def test_of_several_events_the_first_counts():
    y0 = tensor(1.0, 2.0)
    walls = torch.stack
    t, y = odeint_event(Ball(), y0, T0, event_fn=lambda t, y: walls([y[0], y[0] - 1.1, y[1] + 50]))
    assert y[1, 0].item() == pytest.approx(1.1) and t < T0 + 0.1
    t, _ = odeint_event(
        Ball(), y0, T0, event_fn=lambda t, y: torch.stack([y[0], t - 0.6 + 0 * y[0]])
    )
    assert t.item() == pytest.approx(0.6)


def test_a_bouncing_ball_loses_height_geometrically():
    t = torch.tensor(0.0, **f64)
    y = tensor(0.0, 4.0)
    bounces = []
    for _ in range(5):
        t, states = odeint_event(Ball(), y + tensor(1e-12, 0.0), t, event_fn=height)
        y = states[-1] * tensor(0.0, -0.8)
        bounces.append(t)
    expected = [sum(2 * 4.0 * 0.8**k / G for k in range(n)) for n in range(1, 6)]
    assert [b.item() for b in bounces] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("interface", INTERFACES)
def test_gradients_of_a_landing_equal_the_closed_form(interface):
    ball = Ball()
    t0 = T0.clone().requires_grad_()
    y0 = tensor(1.0, 2.0, requires_grad=True)
    t, y = odeint_event(
        ball, y0, t0, event_fn=height, odeint_interface=INTERFACES[interface], rtol=1e-9, atol=1e-9
    )
    impact = torch.sqrt(y0[1] ** 2 + 2 * ball.g * y0[0])
    exact = t0 + (y0[1] + impact) / ball.g
    for ours, theirs in ((t, exact), (y[1, 1], -impact)):
        inputs = (y0, t0, ball.g)
        ours = torch.autograd.grad(
            ours, inputs, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        theirs = torch.autograd.grad(
            theirs, inputs, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("interface", ["direct", "adjoint"])
def test_gradients_of_a_general_event_equal_finite_differences(interface, reverse):
    y0 = tensor(1.0, 0.3, requires_grad=True)
    t0 = T0.clone().requires_grad_()
    w = tensor(0.1, -0.4, requires_grad=True)
    level = torch.tensor(0.6, **f64, requires_grad=True)

    def run(y0, t0, w, level):
        def field(t, y):
            return torch.stack([y[1], -torch.sin(y[0])]) + w * torch.cos(t)

        def event(t, y):
            return y[0] ** 2 + 0.2 * torch.sin(t) - level

        adjoint = {"adjoint_params": (w,)} if interface == "adjoint" else {}
        return odeint_event(
            field,
            y0,
            t0,
            event_fn=event,
            reverse_time=reverse,
            rtol=1e-10,
            atol=1e-10,
            odeint_interface=INTERFACES[interface],
            **adjoint,
        )

    assert gradcheck(run, (y0, t0, w, level), eps=1e-5, atol=1e-5, rtol=1e-4)


def test_tuple_states_have_events_and_gradients():
    y0 = (
        torch.tensor(1.0, **f64, requires_grad=True),
        torch.tensor(2.0, **f64, requires_grad=True),
    )
    t, (h, v) = odeint_event(lambda t, y: (y[1], -G + 0 * y[1]), y0, T0, event_fn=lambda t, y: y[0])
    impact = math.sqrt(4 + 2 * G)
    assert h.shape == v.shape == (2,) and v[1].item() == pytest.approx(-impact)
    assert [g.item() for g in torch.autograd.grad(t, y0)] == pytest.approx(
        [1 / impact, (1 + 2 / impact) / G]
    )


def test_an_event_at_the_start_is_found_there():
    y0 = tensor(0.0, -1.0)
    t, y = odeint_event(Ball(), y0, T0, event_fn=height)
    assert t == T0 and torch.equal(y, torch.stack([y0, y0]))


def test_an_event_at_the_end_of_a_step_is_found_there():
    t, y = odeint_event(
        lambda t, y: torch.ones_like(y),
        tensor(-1.0),
        torch.tensor(0.0, **f64),
        method="euler",
        options={"step_size": 0.25},
        event_fn=lambda t, y: y[0],
    )
    assert t == 1.0 and y[1] == 0.0


def test_single_precision_events_are_found_to_single_precision():
    ball = Ball().float()
    t, y = odeint_event(
        ball, torch.tensor([1.0, 2.0]), torch.tensor(0.5), event_fn=height, rtol=1e-5, atol=1e-6
    )
    assert t.dtype == y.dtype == torch.float32
    assert t.item() == pytest.approx(0.5 + (2 + math.sqrt(4 + 2 * G)) / G, abs=1e-5)


def test_events_see_jumps_and_stops():
    t, _ = odeint_event(
        lambda t, y: torch.ones_like(y) * (1.0 if t < 2.0 else 4.0),
        tensor(0.0),
        T0 - 0.5,
        event_fn=lambda t, y: y[0] - 6.0,
        options={"jump_t": [2.0]},
    )
    assert t.item() == pytest.approx(3.0, abs=1e-9)


@pytest.mark.parametrize(
    "kwargs, error, message",
    [
        (
            {"event_fn": lambda t, y: y[0] ** 2 + 1, "options": {"max_num_steps": 9}},
            SolveError,
            "without finding",
        ),
        ({"event_fn": lambda t, y: y[0] * math.nan}, SolveError, "event_fn.*NaN"),
        ({"event_fn": 3}, TypeError, "event_fn must be callable"),
        (
            {"event_fn": height, "method": "scipy_solver"},
            ValueError,
            "does not handle events.*'dopri5'",
        ),
        ({"event_fn": height, "method": "rk4"}, ValueError, "needs a step.*step_size"),
        ({"event_fn": lambda t, y: torch.sign(y[0])}, SolveError, "event_fn does not change"),
    ],
    ids=["none", "nan", "no function", "scipy", "no step size", "no derivative"],
)
def test_what_cannot_be_found_is_an_error(kwargs, error, message):
    with pytest.raises(error, match=message):
        odeint_event(Ball(), tensor(1.0, 2.0), T0, **kwargs)


def test_an_event_needs_two_times():
    with pytest.raises(ValueError, match=r"t must hold two times.*got 3"):
        odeint(Ball(), tensor(1.0, 2.0), tensor(0.0, 1.0, 2.0), event_fn=height)
