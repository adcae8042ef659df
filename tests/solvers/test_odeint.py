"""`odeint`: agreement with torchdiffeq and closed forms, kinds of states, directions of time."""

import math

import pytest
import torch
import torchdiffeq

from node_tutorial import METHODS, odeint

ADAPTIVE = [name for name, method in METHODS.items() if getattr(method, "error", None)]
IMPLICIT = [name for name, method in METHODS.items() if getattr(method, "implicit", False)]
GENERAL = [name for name, method in METHODS.items() if not getattr(method, "separable", False)]
SHARED_FIXED = ["euler", "midpoint", "heun2", "heun3", "rk4", "explicit_adams", "implicit_adams"]
REAL = [torch.float32, torch.float64]
COMPLEX = [torch.complex64, torch.complex128]
f64 = {"dtype": torch.float64}


def pendulum(t, y):
    return torch.stack([y[1], -torch.sin(y[0])])


def driven(t, y):
    return torch.cos(5 * t) * y * (1 + 0.1 * torch.sin(y))


def rotation(t, y):
    return 3 * torch.stack([y[1], -y[0]])


def van_der_pol(mu):
    return lambda t, y: torch.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


def net(t, y):
    generator = torch.Generator().manual_seed(0)
    hidden, out = (torch.randn(n, 20, generator=generator, **f64) / 3 for n in (2, 20))
    return torch.tanh(y @ hidden) @ out[:2].T


START = torch.tensor([2.0, 0.0], **f64)
PROBLEMS = {
    "pendulum": (pendulum, START, 10.0),
    "rotation": (rotation, START, 5.0),
    "driven": (driven, START, 5.0),
    "net": (net, torch.linspace(-2, 2, 20, **f64).reshape(10, 2), 5.0),
    "van_der_pol_1": (van_der_pol(1.0), START, 10.0),
    "van_der_pol_10": (van_der_pol(10.0), START, 10.0),
}


def grid_for(method, step):
    """Options that make any method, but scipy's, take steps of one size."""
    adams = {"max_iters": 50, "max_order": 6} if method.endswith("adams") else {}
    return {} if method == "scipy_solver" else {"step_size": step, **adams}


# ---- Agreement with torchdiffeq ----


@pytest.mark.parametrize("ends", [(0.0, 2.0), (2.0, 0.0)], ids=["forward", "backward"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"step_size": 0.09, "interp": "linear"},
        {"step_size": 0.09, "interp": "cubic"},
        {"perturb": True},
    ],
    ids=["grid", "linear", "cubic", "perturb"],
)
@pytest.mark.parametrize("method", SHARED_FIXED)
def test_fixed_steps_equal_those_of_torchdiffeq(method, options, ends):
    t = torch.linspace(*ends, 31, **f64)
    adams = method.endswith("adams")
    if adams and "step_size" in options:
        options = options | {
            "step_size": 0.1
        }  # theirs uses the weights of equal steps, also where they are not
    if method == "implicit_adams":
        options = options | {"max_iters": 20}
    kwargs = {"method": method, "options": options, "rtol": 1e-9, "atol": 1e-9}
    ours, theirs = (
        solver(driven, START + 1, t, **kwargs) for solver in (odeint, torchdiffeq.odeint)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10 if adams else 1e-12)


@pytest.fixture
def cost_and_error(counted):
    def measured(solver, name, rtol, method, points):
        field, y0, end = PROBLEMS[name]
        t = torch.linspace(0, end, points, **f64)
        asked = counted(field)
        y = solver(asked, y0, t, method=method, rtol=rtol, atol=rtol / 100)
        reference = odeint(field, y0, t, method="dopri8", rtol=1e-12, atol=1e-13)
        return asked.calls, (y - reference).abs().max().item()

    return measured


@pytest.mark.parametrize("rtol", [1e-3, 1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize("name", PROBLEMS)
def test_a_solve_costs_no_more_than_with_torchdiffeq_at_equal_error(name, rtol, cost_and_error):
    (calls, error), (their_calls, their_error) = (
        cost_and_error(solver, name, rtol, "dopri5", points=30)
        for solver in (odeint, torchdiffeq.odeint)
    )
    assert calls <= their_calls and error <= 1.1 * their_error


@pytest.mark.parametrize("method", sorted(set(ADAPTIVE) - {"tsit5", *IMPLICIT}))
def test_every_adaptive_method_costs_no_more_than_with_torchdiffeq(method, cost_and_error):
    rtol = 1e-4 if method in ("adaptive_heun", "fehlberg2") else 1e-7
    (calls, error), (their_calls, their_error) = (
        cost_and_error(solver, "pendulum", rtol, method, points=2)
        for solver in (odeint, torchdiffeq.odeint)
    )
    assert calls <= their_calls and error <= 1.1 * their_error


# ---- States ----


@pytest.mark.parametrize("dtype", [*REAL, *COMPLEX], ids=str)
@pytest.mark.parametrize("method", GENERAL)
def test_every_method_solves_in_every_dtype(method, dtype):
    if method == "scipy_solver" and dtype.is_complex:
        pytest.skip("scipy's default, LSODA, is real")
    if method in IMPLICIT and dtype.is_complex:
        pytest.skip("implicit methods are real: test_implicit.py")
    rate = -0.5 + (2j if dtype.is_complex else 0)
    y0 = torch.tensor([1.0, 2.0], dtype=dtype)
    t = torch.linspace(0, 1, 5, **f64)
    step = {"euler": 1e-4, "implicit_euler": 1e-4, "adaptive_heun": 1e-3}.get(method, 0.01)
    y = odeint(lambda t, y: rate * y, y0, t, method=method, options=grid_for(method, step))
    exact = torch.exp(torch.as_tensor(rate) * t)[:, None] * y0
    single = dtype in (torch.float32, torch.complex64)
    assert y.dtype == dtype and y.shape == (5, 2)
    torch.testing.assert_close(y, exact.to(dtype), rtol=0, atol=1e-3 if single else 3e-4)
    # An adaptive method does so within its tolerance.
    if method in ADAPTIVE:
        y = odeint(lambda t, y: rate * y, y0, t, method=method, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(y, exact.to(dtype), rtol=0, atol=5e-3)


@pytest.mark.parametrize("shape", [(), (1,), (3, 2), (2, 1, 3, 2), (0,), (0, 4)], ids=str)
@pytest.mark.parametrize("method", ["dopri5", "bosh3", "rk4", "implicit_adams", "euler"])
def test_states_may_have_any_shape_also_none_and_empty(method, shape):
    t = torch.linspace(0, 1, 11)
    y = odeint(lambda t, y: -y, torch.ones(shape), t, method=method)
    assert y.shape == (11, *shape)
    torch.testing.assert_close(y[-1], torch.full(shape, math.exp(-1)), rtol=0, atol=0.03)


@pytest.mark.parametrize("method", GENERAL)
def test_a_tuple_state_is_solved_as_its_parts_are(method):
    parts = (torch.ones(2, 3, **f64), torch.tensor(2.0, **f64), torch.full((4,), 3.0, **f64))
    t = torch.linspace(0, 1, 4, **f64)
    options = grid_for(method, 0.05)
    together = odeint(
        lambda t, y: (-y[0], -2 * t * y[1], y[2]), parts, t, method=method, options=options
    )
    assert isinstance(together, tuple) and [y.shape for y in together] == [(4, 2, 3), (4,), (4, 4)]
    for part, y0, rate in zip(together, parts, (lambda t: -1, lambda t: -2 * t, lambda t: 1)):
        alone = odeint(lambda t, y, rate=rate: rate(t) * y, y0, t, method=method, options=options)
        # The parts share their steps, or the number of iterations, where these follow the error.
        shared = method in ("scipy_solver", "implicit_adams", "fixed_adams", *IMPLICIT)
        torch.testing.assert_close(part, alone, rtol=1e-6 if shared else 1e-12, atol=0)


def test_slopes_of_a_lower_dtype_lose_no_accuracy():
    t = torch.linspace(0, 1, 5, **f64)
    y = odeint(lambda t, y: torch.ones(1, dtype=torch.int64), torch.zeros(1, **f64), t)
    torch.testing.assert_close(y[:, 0], t, rtol=0, atol=1e-14)
    y = odeint(lambda t, y: y.float(), torch.ones(1, **f64), t, rtol=1e-4, atol=1e-4)
    assert y.dtype == torch.float64
    torch.testing.assert_close(y[:, 0], torch.exp(t), rtol=1e-3, atol=0)


@pytest.mark.parametrize("method", METHODS)
def test_one_time_gives_the_initial_state_without_an_evaluation(method, counted):
    field = counted(pendulum)
    y = odeint(field, START, torch.tensor([3.0]), method=method)
    assert y.shape == (1, 2) and torch.equal(y[0], START) and field.calls == 0


# ---- Times ----


@pytest.mark.parametrize("method", METHODS)
def test_decreasing_time_equals_the_mirrored_problem(method):
    t = torch.tensor([0.3, 0.5, 1.1, 1.2], **f64)
    options = grid_for(method, 0.05)
    mirrored = odeint(lambda s, y: -driven(-s, y), START, -t, method=method, options=options)
    torch.testing.assert_close(
        odeint(driven, START, t, method=method, options=options), mirrored, rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("method", GENERAL)
def test_func_gets_real_scalar_times_in_the_dtype_of_the_state_and_none_outside(method):
    seen = []

    def field(t, y):
        seen.append(t)
        return -y

    t = torch.tensor([0.2, 0.5, 1.3], **f64)
    odeint(field, torch.ones(2), t, method=method, rtol=1e-4, atol=1e-4)
    assert all(s.shape == () and s.dtype == torch.float32 for s in seen)
    steep = []
    options = {} if method in ADAPTIVE or method == "scipy_solver" else {"step_size": 0.1}
    odeint(
        lambda t, y: (steep.append(t), torch.full_like(y, 1e-6))[1],
        torch.ones(2),
        t,
        method=method,
        options=options,
    )
    assert (
        method in ("kvaerno5", "scipy_solver") or max(steep) <= 1.3 + 1e-6
    )  # a first step is not looked for outside
    inside = [0.2 - 1e-6 <= s <= 1.3 + 1e-6 for s in seen]
    assert all(inside[: len(seen) if method not in ADAPTIVE else 1]) and sum(inside) >= len(
        seen
    ) - (3 if method == "kvaerno5" else 1)


@pytest.mark.parametrize("with_gradient", [False, True])
def test_times_in_float32_do_not_limit_a_float64_state(with_gradient):
    t = torch.linspace(0, 10, 7, requires_grad=with_gradient)
    y = odeint(lambda t, y: torch.cos(t) * y, torch.ones(1, **f64), t, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        y[:, 0], torch.exp(torch.sin(t.double())), rtol=1e-7, atol=0, check_dtype=False
    )
