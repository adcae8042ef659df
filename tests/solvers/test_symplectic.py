"""Symplectic methods: order, structure, reversibility, on separable problems; their refusals."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import torch
import torchdiffeq
from torch.autograd import gradcheck
from torch.autograd.functional import jacobian

from node_tutorial import METHODS, odeint, odeint_event, solve

METHODS = {name: method for name, method in METHODS.items() if getattr(method, "separable", False)}
REVERSIBLE = ["leapfrog", "yoshida4"]
EVALUATIONS = {"semi_implicit_euler": 2, "leapfrog": 2, "yoshida4": 6}
f64 = {"dtype": torch.float64}
every = pytest.mark.parametrize("method", METHODS)
both_directions = pytest.mark.parametrize(
    "span", [(0.0, 2.0), (2.0, 0.0)], ids=["forward", "backward"]
)


def driven(t, y):
    """Neither v nor a is linear, and both depend on time."""
    q, p = y
    return p * (1 + 0.3 * torch.sin(3 * t)) + 0.2 * p**3, -torch.sin(q) + 0.5 * torch.cos(2 * t)


def oscillator(t, y):
    q, p = y
    return p, -q


def pendulum(t, y):
    return torch.stack([y[1], -torch.sin(y[0])])


def hamiltonian(y):
    return y[..., 1] ** 2 / 2 - torch.cos(y[..., 0])


def pair(q=1.0, p=0.0, **kwargs):
    return torch.tensor(q, **f64, **kwargs), torch.tensor(p, **f64, **kwargs)


def times(span, n):
    return torch.linspace(*span, n + 1, **f64)


# ---- Accuracy ----


def error(method, span, n, t):
    """Against dopri8, at the times t, with n steps."""
    kwargs = {"method": method, "options": {"step_size": 2.0 / n}}
    y = torch.stack(odeint(driven, pair(0.5, 0.8), t, **kwargs))
    exact = torch.stack(odeint(driven, pair(0.5, 0.8), t, method="dopri8", rtol=1e-13, atol=1e-13))
    return (y - exact).abs().max().item()


@both_directions
@every
def test_halving_the_step_shows_the_order_where_forces_depend_on_time(method, span):
    errors = [error(method, span, n, times(span, 8)) for n in (80, 160)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(METHODS[method].order, abs=0.2)


@both_directions
@every
def test_between_grid_points_the_error_has_the_same_order(method, span):
    errors = [error(method, span, n, times(span, 331)) for n in (80, 160)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(METHODS[method].order, abs=0.2)


def test_the_output_of_leapfrog_between_grid_points_is_nearly_as_good_as_on_them():
    """As the slopes at the ends of a step are right up to O(h^3), not O(h)."""
    span = (0.0, 2.0)
    h = 0.05
    between = error("leapfrog", span, 40, times(span, 331))
    assert between < 1.05 * error("leapfrog", span, 40, times(span, 40)) + h**4


@pytest.mark.parametrize("method", REVERSIBLE)
def test_a_pendulum_swings_as_with_scipy_and_torchdiffeq(method):
    t = times((0.0, 10.0), 20)
    y0 = torch.tensor([2.0, 0.5], **f64)
    ours = odeint(pendulum, y0, t, method=method, options={"step_size": 0.005})
    theirs = torchdiffeq.odeint(pendulum, y0, t, rtol=1e-11, atol=1e-11)
    reference = scipy.integrate.solve_ivp(
        lambda t, y: (y[1], -np.sin(y[0])),
        (0, 10),
        y0.numpy(),
        t_eval=t.numpy(),
        rtol=1e-11,
        atol=1e-11,
    ).y.T
    bound = 1e-4 if method == "leapfrog" else 1e-8
    for other in (theirs, torch.from_numpy(reference)):
        torch.testing.assert_close(ours, other, rtol=0, atol=bound)


# ---- Structure ----


def test_leapfrog_conserves_a_nearby_energy_of_the_oscillator_to_rounding():
    h = 0.5
    q, p = odeint(oscillator, pair(1.0, 0.0), h * torch.arange(1001, **f64), method="leapfrog")
    energy = (q**2 + p**2) / 2
    assert (energy - energy[0]).abs().max().item() == pytest.approx(h**2 / 8, rel=1e-3)  # 0.03125
    nearby = p**2 + (1 - h**2 / 4) * q**2
    assert (nearby - nearby[0]).abs().max() < 1e-12


def test_semi_implicit_euler_conserves_another_one():
    h = 0.5
    q, p = odeint(
        oscillator, pair(1.0, 0.0), h * torch.arange(1001, **f64), method="semi_implicit_euler"
    )
    nearby = p**2 - h * p * q + q**2
    assert (nearby - nearby[0]).abs().max() < 1e-12


def asymmetry(method):
    """The largest entry of M^T J M - J, M the Jacobian of five steps of size 0.3 in R^4."""
    n = 2
    coupling = torch.tensor([[1.0, 0.4], [0.4, 2.0]], **f64)

    def field(t, y):  # of H = |p|^2 / 2 + |p|^4 / 10 + q^T C q / 2 + cos(q_1 q_2) cos(t)
        q, p = y[:n], y[n:]
        force = -coupling @ q + torch.sin(q[0] * q[1]) * torch.cos(t) * q.flip(0)
        return torch.cat([p * (1 + 0.4 * p.square().sum()), force])

    def flow(y0):
        return odeint(
            field, y0, torch.tensor([0.2, 1.7], **f64), method=method, options={"step_size": 0.3}
        )[-1]

    m = jacobian(flow, torch.tensor([0.3, -0.5, 0.7, 0.2], **f64))
    eye = torch.eye(n, **f64)
    zero = torch.zeros(n, n, **f64)
    j = torch.cat([torch.cat([zero, eye], 1), torch.cat([-eye, zero], 1)])
    return (m.T @ j @ m - j).abs().max().item()


@every
def test_a_step_preserves_the_symplectic_form(method):
    assert asymmetry(method) < 1e-13 < 1e-6 < asymmetry("rk4")


def test_the_error_of_the_energy_stays_bounded_where_that_of_rk4_grows():
    t = torch.tensor([*range(0, 3001, 10)], **f64)  # 10^4 steps of 0.3, some 400 swings
    y0 = torch.tensor([1.5, 0.0], **f64)
    first, last = {}, {}
    for method in (*METHODS, "rk4"):
        y = odeint(pendulum, y0, t, method=method, options={"step_size": 0.3})
        drift = (hamiltonian(y) - hamiltonian(y0)).abs()
        first[method] = drift[1:31].max().item()
        last[method] = drift[-30:].max().item()
    assert last["rk4"] > 5 * first["rk4"] and last["rk4"] > 10 * last["yoshida4"]
    for method, bound in (("semi_implicit_euler", 0.3), ("leapfrog", 0.03), ("yoshida4", 0.003)):
        assert last[method] < 1.2 * first[method] and first[method] < bound


@both_directions
@every
def test_going_back_returns_to_the_start_to_rounding_if_the_method_is_symmetric(method, span):
    def off(n):
        t = times(span, n)
        there = odeint(driven, pair(0.5, 0.8), t, method=method)
        back = odeint(driven, tuple(x[-1] for x in there), t.flip(0), method=method)
        return max((a - b.flip(0)).abs().max().item() for a, b in zip(there, back))

    if method in REVERSIBLE:
        assert max(off(10), off(1000)) < 1e-12
    else:
        assert off(1000) > 1e-4


# ---- States, gradients, cost ----


@every
def test_a_tuple_is_its_halves_in_the_last_dimension_and_rows_do_not_mix(method):
    q, p = torch.randn(2, 5, 3, **f64, generator=torch.Generator().manual_seed(0))
    t = times((0.0, 1.0), 7)
    options = {"step_size": 0.1}
    of_tuple = torch.cat(odeint(driven, (q, p), t, method=method, options=options), -1)

    def field(t, y):
        return torch.cat(driven(t, y.chunk(2, -1)), -1)

    batch = torch.cat([q, p], -1)
    whole = odeint(field, batch, t, method=method, options=options)
    rows = torch.stack([odeint(field, row, t, method=method, options=options) for row in batch], 1)
    torch.testing.assert_close(of_tuple, whole, rtol=0, atol=1e-13)
    torch.testing.assert_close(rows, whole, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128], ids=str
)
@every
def test_every_dtype_is_kept_and_times_are_scalars_of_its_precision(method, dtype):
    seen = []

    def field(t, y):
        seen.append(t)
        return oscillator(t, y)

    y0 = tuple(torch.tensor([x], dtype=dtype) for x in (1.0, 0.0))
    t = torch.linspace(0, 1, 3)
    q, p = odeint(field, y0, t, method=method, options={"step_size": 1e-3})
    assert q.dtype == p.dtype == dtype
    assert all(s.shape == () and s.dtype == dtype.to_real() for s in seen)
    torch.testing.assert_close(q[:, 0], torch.cos(t).to(dtype), rtol=0, atol=1e-3)
    outside = 0.36e-3 if method == "yoshida4" else 1e-7
    assert min(seen) >= -outside and max(seen) <= 1 + outside
    assert (min(seen) < 0) == (method == "yoshida4")


@pytest.mark.parametrize("options", [{"step_size": 0.23}, {}, {"perturb": True}], ids=str)
@pytest.mark.parametrize(
    "moments", [[0.1, 0.3, 0.45, 0.9], [0.9, 0.45, 0.3, 0.1]], ids=["forward", "backward"]
)
@every
def test_gradients_are_those_of_the_computed_solution(method, moments, options):
    w = torch.tensor(0.7, **f64, requires_grad=True)
    t = torch.tensor(moments, **f64, requires_grad=True)

    def run(q, p, w, t):
        field = lambda t, y: (torch.tanh(w * y[1]) * torch.cos(t), -w * torch.sin(y[0] + t))  # noqa: E731
        return odeint(field, (q, p), t, method=method, options=options)

    assert gradcheck(run, (*pair(0.5, 0.8, requires_grad=True), w, t), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 50])
@every
def test_evaluations_are_as_few_as_the_docstring_says(method, steps):
    t = torch.tensor([0.0, 1.0], **f64)
    stats = solve(driven, pair(), t, method=method, options={"step_size": 1 / steps}).stats
    once = 1 if method == "semi_implicit_euler" else 2  # the check, and the first slope
    assert (stats.nfe, stats.accepted) == (steps * EVALUATIONS[method] + once, steps)
    fine = solve(
        driven,
        pair(),
        times((0.0, 1.0), 200),
        method=method,
        options={"step_size": 1 / steps},
        record=True,
    )
    assert fine.stats.nfe == stats.nfe  # output between the steps is free


@pytest.mark.parametrize("method", REVERSIBLE)
def test_a_pendulum_released_at_rest_passes_the_bottom_after_a_quarter_of_its_period(method):
    y0 = torch.tensor([1.0, 0.0], **f64)
    t, y = odeint_event(
        pendulum,
        y0,
        torch.tensor(0.0, **f64),
        event_fn=lambda t, y: y[0],
        method=method,
        options={"step_size": 0.01},
    )
    bound = 2e-5 if method == "leapfrog" else 1e-8
    assert t.item() == pytest.approx(scipy.special.ellipk(math.sin(0.5) ** 2), abs=bound)
    assert y[1, 1].item() == pytest.approx(-2 * math.sin(0.5), abs=bound)


# ---- What is refused ----

SHAPES = {
    "an odd size": (torch.zeros(4, 3), r"a tensor of shape \(4, 3\)"),
    "a number": (torch.zeros(()), r"a tensor of shape \(\)"),
    "unequal parts": (
        (torch.zeros(2), torch.zeros(2, 1)),
        r"a tuple of tensors of shapes \(2,\), \(2, 1\)",
    ),
    "three parts": ((torch.zeros(2),) * 3, r"a tuple of tensors of shapes \(2,\), \(2,\), \(2,\)"),
}


@pytest.mark.parametrize("y0, given", SHAPES.values(), ids=SHAPES)
@every
def test_states_without_two_halves_are_refused(method, y0, given):
    message = rf"^method '{method}' moves positions q and momenta p.*\(q, p\).*got {given}$"
    with pytest.raises(ValueError, match=message):
        odeint(lambda t, y: y, y0, torch.linspace(0, 1, 3), method=method)


FORCES = {
    "friction": lambda t, q, p: (p, -q - 0.01 * p),
    "a mass that depends on q": lambda t, q, p: (p / (1 + q**2), q * (p / (1 + q**2)) ** 2),
    "one rate for all": lambda t, q, p: (-q, -p),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("force", FORCES.values(), ids=FORCES)
@every
def test_a_force_that_depends_on_the_momentum_is_refused(method, force, dtype):
    y0 = torch.tensor([1.0], dtype=dtype), torch.tensor([0.5], dtype=dtype)
    with pytest.raises(
        ValueError, match=rf"^method '{method}' needs a separable field.*dp/dt changes with p"
    ):
        odeint(lambda t, y: force(t, *y), y0, torch.linspace(0, 1, 11), method=method)


@every
def test_a_separable_field_of_any_size_or_none_passes(method):
    t = torch.linspace(0, 1, 11, **f64)
    for scale in (0.0, 1e-30, 1e30):  # at rest in an equilibrium; near it; far off
        y = odeint(oscillator, pair(scale, scale), t, method=method)
        torch.testing.assert_close(y[0], scale * (torch.cos(t) + torch.sin(t)), rtol=0.1, atol=0)
    assert odeint(lambda t, y: y, torch.zeros(3, 0), t, method=method).shape == (11, 3, 0)
