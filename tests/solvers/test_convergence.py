"""Observed orders of steps, and of output between them, on a nonlinear, non-autonomous problem."""

import math

import pytest
import torch

from node_tutorial import METHODS, odeint, solve

# Separable methods: test_symplectic.py. The order of scipy's methods is not ours to say.
GENERAL = {name: m for name, m in METHODS.items() if not getattr(m, "separable", False)}
ORDERS = {name: method.order for name, method in GENERAL.items() if method.order}
# The first step after the Runge-Kutta start uses three past slopes: O(h^4) once; Moulton adds the
# new one: O(h^5).
ORDERS |= {"explicit_adams": 4, "implicit_adams": 5, "fixed_adams": 5}
ADAMS = {"max_order": 6, "max_iters": 30}
ADAPTIVE = [name for name, method in METHODS.items() if getattr(method, "error", None)]
FORWARD = (0.0, 2.0)
BACKWARD = (2.0, 0.0)
both_directions = pytest.mark.parametrize("span", [FORWARD, BACKWARD], ids=["forward", "backward"])


def field(t, y):
    """A rotation whose speed depends on the radius and on time."""
    return ((y * y).sum() + torch.cos(t)) * torch.stack([-y[1], y[0]])


def exact(t):
    angle = 2 * t + torch.sin(t)
    return math.sqrt(2) * torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)


def times(span, n, warp=0.0):
    s = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    return span[0] + (span[1] - span[0]) * (s + warp * torch.sin(2 * math.pi * s))


def error(y, t):
    return (y - exact(t)).abs().max().item()


def slope(method, span, counts, warp=0.0, **options):
    errors = []
    for n in counts:
        t = times(span, n, warp)
        grid = {"step_size": 2.0 / n} if method in ADAPTIVE else {}
        y = odeint(
            field, exact(t[0]), t, rtol=1e-13, atol=1e-14, method=method, options=grid | options
        )
        errors.append(error(y, t))
    return math.log(errors[0] / errors[1]) / math.log(counts[1] / counts[0])


@both_directions
@pytest.mark.parametrize("method", ORDERS)
def test_halving_the_step_shows_the_order(method, span):
    order = ORDERS[method]
    counts = {1: (500, 1000), 2: (250, 500), 6: (30, 60), 8: (20, 28)}.get(order, (80, 160))
    options = {}
    if method.endswith("adams"):
        counts = (200, 400)
        options = ADAMS
    assert slope(method, span, counts, **options) == pytest.approx(order, abs=0.2)


@both_directions
@pytest.mark.parametrize("method", ["explicit_adams", "implicit_adams"])
def test_adams_methods_keep_their_order_on_unequal_steps(method, span):
    assert slope(method, span, (150, 300), warp=0.1, **ADAMS) == pytest.approx(
        ORDERS[method], abs=0.2
    )


@pytest.mark.parametrize("max_order, order", [(4, (3, 4)), (5, (4, 5)), (6, (4, 5))])
def test_max_order_bounds_the_order_of_adams_methods(max_order, order):
    options = ADAMS | {"max_order": max_order}
    observed = (
        slope(name, FORWARD, (100, 200), **options) for name in ("explicit_adams", "implicit_adams")
    )
    assert tuple(observed) == pytest.approx(order, abs=0.2)


@both_directions
@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_global_error_falls_with_the_tolerance(method, span):
    t = times(span, 1)
    low = METHODS[method].order < 3
    errors, steps = [], []
    for tol in (1e-3, 1e-4, 1e-5) if low else (1e-4, 1e-6, 1e-8):
        solution = solve(field, exact(t[0]), t, rtol=tol, atol=tol, method=method)
        errors.append(error(solution.y, t))
        steps.append(solution.stats.accepted)
    # The error of a step follows the tolerance; so does the global error, if the estimate is that
    # of order p - 1.
    power = METHODS[method].order / (METHODS[method].error_order or METHODS[method].order)
    assert (
        errors[0] > 2 * errors[1] > 4 * errors[2]
        and errors[0] > 0.3 * (100 if low else 1000) ** power * errors[2]
    )
    assert steps[0] < steps[1] < steps[2]


@both_directions
@pytest.mark.parametrize("method", ADAPTIVE)
def test_between_the_steps_the_error_is_like_that_at_the_end(method, span):
    tol = 1e-5 if METHODS[method].order < 3 else 1e-6
    ends, fine = times(span, 1), times(span, 300)
    recorded = solve(field, exact(ends[0]), ends, rtol=tol, atol=tol, method=method, record=True)
    between = odeint(field, exact(ends[0]), fine, rtol=tol, atol=tol, method=method)
    # The output of dopri8 has order 5 only, and its steps are long.
    bound = 200 * tol if method == "dopri8" else 10 * error(recorded.y, ends)
    assert error(recorded(fine), fine) < bound
    if METHODS[method].implicit:  # it steps to the output times, and is nearer there
        assert error(between, fine) < bound
    else:
        torch.testing.assert_close(between, recorded(fine), rtol=0, atol=1e-13)


@pytest.mark.parametrize("method", sorted(ORDERS.keys() - {"euler"}))
def test_between_grid_points_the_error_is_like_that_on_them(method):
    coarse = 10 if ORDERS[method] == 8 else 100
    t = times(FORWARD, 331)
    options = {"step_size": 2.0 / coarse} | (ADAMS if method.endswith("adams") else {})
    grid = times(FORWARD, coarse)
    on_grid = error(odeint(field, exact(t[0]), grid, method=method, options=options), grid)
    between = error(odeint(field, exact(t[0]), t, method=method, options=options), t)
    hermite = (2.0 / coarse) ** 4  # cubic interpolation, where a method has no output of its own
    assert between < 10 * on_grid + hermite
