"""`solve`: statistics, the record of steps, dense output; `odeint_dense`."""

import itertools
import math

import pytest
import torch

from node_tutorial import (
    GRADIENT_MODES,
    METHODS,
    Solution,
    SolveError,
    Tableau,
    odeint,
    odeint_dense,
    register_method,
    solve,
)

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


@pytest.fixture(params=[None, ((1.0, -0.5), (0.0, 0.5))], ids=["cubic", "by rows"])
def pair(request):
    """The name of a pair whose last stage is not the first one of the next step."""
    heun = METHODS["heun2"]
    name = "heun_euler_for_tests"
    method = Tableau(name, 2, heun.c, heun.a, heun.b, error=(-0.5, 0.5), dense=request.param)
    yield register_method(method).name
    del METHODS[name]


def points_of(method, **settings):
    """The points (t, y) at which a solve evaluates func, in its order; and the solve."""
    seen = []

    def watched(t, y):
        seen.extend(zip(t.expand(len(y), 1)[:, 0].tolist(), map(tuple, y.tolist())))
        return torch.stack(list(van_der_pol(t, y.T)), 1)

    t = torch.linspace(0, 10, 5, **f64)
    solution = solve(watched, START[None], t, method=method, rtol=1e-3, atol=1e-3, **settings)
    return seen, solution


@pytest.mark.parametrize("settings", [{}, {"record": True}, {"per_sample": True}], ids=str)
def test_a_rejected_attempt_keeps_its_first_stage(pair, settings):
    if settings == {"per_sample": True} and METHODS[pair].dense is None:
        pytest.skip("per-sample clocks need a dense output by rows")
    seen, solution = points_of(pair, **settings)
    stats = solution.stats
    accepted = int(stats.accepted)
    rejected = int(stats.rejected)
    assert rejected > 10 and len(set(seen)) == len(seen) == stats.nfe
    # The first slope, the first size; a rejection costs the second stage, and at t[-1] the slope is
    # found for the record only.
    behind = "record" in settings and METHODS[pair].dense is None
    assert stats.nfe == 1 + 2 * accepted + rejected + behind


@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("method", [m for m in ADAPTIVE if not METHODS[m].implicit])
def test_func_is_never_evaluated_twice_at_the_same_point(method, record):
    seen, solution = points_of(method, record=record)
    assert solution.stats.rejected > 0 and len(set(seen)) == len(seen) == solution.stats.nfe


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


def growing(t, y):
    """y = 1 / (1 - t) from 1: it blows up at t = 1."""
    return y * y


TIMES = torch.tensor([0.0, 0.5, 3.0], **f64)
LIMIT = {"max_num_evaluations": 100}
FAILURES = {
    "underflow": ({}, "underflow in dt"),
    "max_num_steps": ({"options": {"max_num_steps": 20}}, "max_num_steps exceeded"),
    "evaluations": (
        {"options": LIMIT},
        r"^max_num_evaluations exceeded: func was evaluated 100 times, .* near t = 0.*Try: raise "
        r"options=\{'max_num_evaluations'.*rtol.*implicit.*solution of this error",
    ),
    "evaluations on a grid": (
        {"method": "rk4", "options": {"step_size": 0.03} | LIMIT},
        "max_num_evaluations exceeded",
    ),
    "evaluations of an implicit method": (
        {"method": "kvaerno3", "options": LIMIT, "rtol": 1e-3, "atol": 1e-3},
        "max_num_evaluations exceeded",
    ),
    "Newton": (
        {"method": "implicit_midpoint", "options": {"step_size": 0.03}},
        "Newton's iteration does not converge",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_solve_that_fails_hands_over_what_it_has_solved(name):
    problem, message = FAILURES[name]
    with pytest.raises(SolveError, match=message) as caught:
        solve(growing, torch.ones(2, **f64), TIMES, record=True, **problem)
    found = caught.value.solution
    assert torch.equal(found.t[:2], TIMES[:2]) and len(found.t) == 3  # and the end of its last step
    assert 0.5 < found.t[2] < 1.02 and found.y.shape == (3, 2)
    exact = (1 / (1 - found.t[:2]))[:, None].expand(-1, 2)
    torch.testing.assert_close(found.y[:2], exact, rtol=1e-2, atol=0)
    assert found.stats.nfe > 0 and len(found.steps) == found.stats.accepted + found.stats.rejected
    torch.testing.assert_close(found(0.3)[0], torch.tensor(1 / 0.7, **f64), rtol=1e-2, atol=0)
    torch.testing.assert_close(found(found.t[2]), found.y[2])
    limit = problem.get("options", {}).get("max_num_evaluations", math.inf)
    assert found.stats.nfe <= limit


def test_a_fixed_step_solution_that_overflows_hands_over_what_is_finite():
    t = torch.linspace(0, 5, 51, **f64)
    with pytest.raises(SolveError, match=r"not finite from t\[\d+\]") as caught:
        solve(growing, torch.ones(2, **f64), t, method="rk4", record=True)
    found = caught.value.solution
    n = len(found.t)
    assert 10 <= n < 51 and torch.equal(found.t, t[:n]) and torch.isfinite(found.y).all()
    assert torch.isfinite(found(found.t[-1] / 2)).all()


def test_a_solve_that_cannot_begin_hands_over_its_start():
    with pytest.raises(SolveError, match="is not finite at t = 0") as caught:
        solve(lambda t, y: y / 0.0, torch.ones(2, **f64), TIMES)
    found = caught.value.solution
    assert torch.equal(found.t, TIMES[:1]) and torch.equal(found.y, torch.ones(1, 2, **f64))
    assert found.steps is None and found.stats.nfe == 1


def test_a_tuple_state_comes_back_as_one():
    y0 = (torch.ones(2, **f64), torch.zeros((), **f64))
    with pytest.raises(SolveError) as caught:
        odeint(lambda t, y: (growing(t, y[0]), y[1] + 1), y0, TIMES)
    first, second = caught.value.solution.y
    assert first.shape == (3, 2) and second.shape == (3,)
    assert second[1] == pytest.approx(math.exp(0.5) - 1)


def test_rows_that_were_not_reached_are_nan_with_a_clock_per_sample():
    y0 = torch.tensor([[1.0], [0.1]], **f64)
    with pytest.raises(SolveError, match="row 0 of the batch") as caught:
        solve(growing, y0, TIMES, per_sample=True)
    found = caught.value.solution
    assert found.y.shape == (2, 3, 1) and torch.equal(found.t, TIMES)
    assert found.y[:, :, 0].isnan().tolist() == [[False, False, True], [False, False, False]]
    assert found.stats.accepted[1] > 0
    with pytest.raises(SolveError, match="max_num_evaluations exceeded: func was evaluated 50"):
        solve(growing, y0, TIMES, per_sample=True, options={"max_num_evaluations": 50})


@pytest.mark.parametrize(
    "mode",
    [mode for name, mode in GRADIENT_MODES.items() if name != "reversible"],
    ids=lambda mode: mode.__name__,
)
def test_every_gradient_mode_hands_over_what_it_has_solved(mode):
    params = {} if mode is odeint else {"adjoint_params": ()}
    y0 = torch.ones(2, **f64, requires_grad=True)
    for options in ({}, LIMIT):
        with pytest.raises(SolveError) as caught:
            mode(growing, y0, TIMES, options=options, **params)
        found = caught.value.solution
        assert torch.equal(found.t[:2], TIMES[:2]) and 0.6 < found.t[2] < 1.02


@pytest.mark.parametrize("gradient", ["replay", "checkpoint"])
def test_the_limit_of_evaluations_is_not_that_of_the_way_back(gradient):
    y0 = torch.ones(2, **f64, requires_grad=True)
    mode = GRADIENT_MODES[gradient]
    needed = solve(growing, y0, TIMES[:2]).stats.nfe
    limit = {"max_num_evaluations": needed}
    y = mode(growing, y0, TIMES[:2], options=limit, adjoint_params=())
    (gradient,) = torch.autograd.grad(y[-1].sum(), y0)
    torch.testing.assert_close(gradient, torch.full((2,), 4.0, **f64), rtol=1e-5, atol=0)
    with pytest.raises(SolveError, match=f"func was evaluated {needed - 1} times"):
        odeint(growing, y0, TIMES[:2], options={"max_num_evaluations": needed - 1})


def test_an_event_that_is_not_found_hands_over_how_far_it_got():
    with pytest.raises(SolveError, match="without finding an event") as caught:
        odeint(
            lambda t, y: -y,
            torch.ones(2, **f64),
            TIMES[:2],
            event_fn=lambda t, y: y.sum() + 1,
            options={"max_num_steps": 30},
        )
    found = caught.value.solution
    assert len(found.t) == 2 and found.t[1] > 1 and found.stats.accepted <= 30
    torch.testing.assert_close(found.y[1, 0], torch.exp(-found.t[1]), rtol=0, atol=1e-6)


def test_scipy_hands_over_the_times_it_reached():
    y0 = torch.ones(2, **f64)
    with pytest.raises(SolveError, match=r"scipy's RK45 stopped after t = 0\.5") as caught:
        solve(
            growing, torch.ones(2, **f64), TIMES, method="scipy_solver", options={"solver": "RK45"}
        )
    assert torch.equal(caught.value.solution.t, TIMES[:2])
    torch.testing.assert_close(caught.value.solution.y[1], torch.full((2,), 2.0, **f64))
    with pytest.raises(SolveError, match="max_num_evaluations exceeded") as caught:
        odeint(growing, y0, TIMES, method="scipy_solver", options=LIMIT)
    assert torch.equal(caught.value.solution.t, TIMES[:1])


@pytest.mark.parametrize("name", sorted(GRADIENT_MODES.keys() - {"direct"}))
def test_no_gradient_mode_returns_a_fixed_step_solution_that_overflowed(name):
    method = "reversible_heun" if name == "reversible" else "rk4"
    y0 = torch.ones(2, **f64, requires_grad=True)
    t = torch.linspace(0, 5, 51, **f64)
    with pytest.raises(SolveError, match="not finite from t"):
        GRADIENT_MODES[name](growing, y0, t, method=method, adjoint_params=())
