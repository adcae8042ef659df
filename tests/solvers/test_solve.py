"""`solve`: statistics, the record of steps, dense output; `odeint_dense`."""

import itertools
import math

import pytest
import torch

from node_tutorial import METHODS, Solution, odeint, odeint_dense, solve

ADAPTIVE = [name for name, method in METHODS.items() if getattr(method, "error", None)]
f64 = {"dtype": torch.float64}
START = torch.tensor([2.0, 0.0], **f64)
SPANS = [(0.0, 10.0), (10.0, 0.0)]


def van_der_pol(t, y):
    return torch.stack([y[1], 2 * (1 - y[0] ** 2) * y[1] - y[0]])


def pendulum(t, y):
    return torch.stack([y[1], -torch.sin(y[0])])


def run(field=van_der_pol, ends=SPANS[0], points=2, tol=1e-6, **kwargs):
    return solve(
        field,
        START,
        torch.linspace(*ends, points, **f64),
        rtol=tol,
        atol=tol,
        record=True,
        **kwargs,
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_states_are_those_of_odeint(method):
    t = torch.linspace(0, 2, 9, **f64)
    solution = solve(pendulum, START, t, method=method, rtol=1e-4, atol=1e-4)
    assert isinstance(solution, Solution) and solution.t is t and solution.steps is None
    assert torch.equal(solution.y, odeint(pendulum, START, t, method=method, rtol=1e-4, atol=1e-4))


@pytest.mark.parametrize("ends", SPANS)
@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_record_holds_every_attempt(method, ends):
    solution = run(ends=ends, method=method, tol=1e-4)
    stats, steps = solution.stats, solution.steps
    assert len(steps) == stats.accepted + stats.rejected
    assert sum(s.accepted for s in steps) == stats.accepted
    assert all((s.error_ratio <= 1) == s.accepted for s in steps)
    for step, following in itertools.pairwise(steps):
        assert following.t == (step.t + step.h if step.accepted else step.t)
        assert step.accepted or abs(following.h) < abs(step.h)
    assert steps[0].t == ends[0] and steps[-1].t + steps[-1].h == pytest.approx(ends[1], abs=1e-14)
    if METHODS[method].implicit:  # their cost: test_implicit.py
        return
    assert stats.rejected > 0
    # Two evaluations start a solve; a rejected attempt has its first stage already.
    tableau = METHODS[method]
    again = tableau.evaluations if tableau.fsal or tableau.carry_last else tableau.stages - 1
    assert stats.nfe == 2 + stats.accepted * tableau.evaluations + stats.rejected * again


def test_the_record_of_fixed_steps_has_no_error_ratio():
    solution = run(method="rk4", options={"step_size": 0.1})
    assert len(solution.steps) == solution.stats.accepted == 100 and solution.stats.rejected == 0
    assert all(math.isnan(s.error_ratio) and s.accepted for s in solution.steps)


@pytest.mark.parametrize("ends", SPANS)
@pytest.mark.parametrize("method", ["dopri5", "tsit5", "bosh3", "rk4", "implicit_adams"])
def test_a_recorded_solution_is_a_function_of_time(method, ends):
    options = {} if method in ADAPTIVE else {"step_size": 0.01}
    solution = run(pendulum, ends, method=method, tol=1e-8, options=options)
    t = torch.linspace(*ends, 77, **f64)
    exact = odeint(pendulum, START, t, method="dopri8", rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(solution(t), exact, rtol=0, atol=1e-6)
    assert solution(t[5]).shape == (2,) and torch.equal(solution(t[5].item()), solution(t[5]))
    assert torch.equal(solution(t[:1])[0], START) and torch.equal(solution(t[-1]), solution.y[-1])
    assert torch.equal(solution(t.flip(0)), solution(t).flip(0))


def test_dense_output_is_differentiable():
    y0 = START.clone().requires_grad_()
    t = torch.tensor([0.0, 1.0], **f64)
    solution = solve(lambda t, y: -2 * y, y0, t, record=True)
    (gradient,) = torch.autograd.grad(solution(0.3).sum(), y0)
    torch.testing.assert_close(gradient, torch.full((2,), math.exp(-0.6), **f64), rtol=1e-6, atol=0)


def test_dense_output_of_a_tuple_is_a_tuple():
    y0 = (torch.ones(2, 3, **f64), torch.tensor(1.0, **f64))
    solution = odeint_dense(lambda t, y: (-y[0], y[1]), y0, 0.0, torch.tensor(1.0))
    a, b = solution(torch.tensor([0.0, 0.4]))
    assert a.shape == (2, 2, 3) and b.shape == (2,)
    torch.testing.assert_close(a[1], torch.full((2, 3), math.exp(-0.4), **f64), rtol=1e-6, atol=0)
    torch.testing.assert_close(b[1].item(), math.exp(0.4), rtol=1e-6, atol=0)


def test_one_time_makes_a_solution_of_one_point():
    solution = run(points=1)
    assert torch.equal(solution(0.0), START) and solution.steps == [] and solution.stats.nfe == 0


def test_dense_output_refuses_what_it_does_not_have():
    with pytest.raises(ValueError, match="record=True"):
        solve(pendulum, START, torch.tensor([0.0, 1.0]))(0.5)
    for t in (-0.1, 10.1, math.nan):
        with pytest.raises(
            ValueError, match="lies outside of the solution, which runs from 0 to 10"
        ):
            run()(t)
