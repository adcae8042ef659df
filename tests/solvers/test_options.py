"""The options of `odeint`, its callbacks, and its count of evaluations."""

import itertools
import math
import statistics

import pytest
import torch

from node_tutorial import METHODS, odeint, solve

ADAPTIVE = [name for name, method in METHODS.items() if getattr(method, "error", None)]
f64 = {"dtype": torch.float64}
START = torch.tensor([2.0, 0.0], **f64)


def pendulum(t, y):
    return torch.stack([y[1], -torch.sin(y[0])])


def attempts(t, field=pendulum, tol=1e-6, method="dopri5", y0=START, **options):
    return solve(
        field, y0, t, rtol=tol, atol=tol, method=method, options=options, record=True
    ).steps


SPAN = torch.tensor([0.0, 10.0], **f64)


def test_step_size_divides_the_interval_and_ends_on_it():
    steps = attempts(torch.tensor([0.0, 1.0], **f64), method="rk4", step_size=0.3)
    assert [round(s.h, 12) for s in steps] == [0.3, 0.3, 0.3, 0.1]
    steps = attempts(torch.tensor([1.0, 0.0], **f64), method="dopri5", step_size=0.25)
    assert [s.h for s in steps] == [-0.25] * 4


def test_grid_constructor_makes_the_grid():
    def quadratic(func, y0, t):
        assert y0 is START and func(t[0], y0).shape == y0.shape
        return torch.linspace(0, 1, 5, **f64) ** 2 * (t[-1] - t[0]) + t[0]

    steps = attempts(SPAN, method="midpoint", grid_constructor=quadratic)
    assert [s.t + s.h for s in steps] == pytest.approx([0.625, 2.5, 5.625, 10.0])


def test_linear_and_cubic_output_lie_between_the_grid_points():
    t = torch.tensor([0.0, 0.25, 1.0], **f64)
    options = {"step_size": 1.0}
    linear, cubic = (
        odeint(
            lambda t, y: 3 * t**2 + 0 * y,
            torch.zeros((), **f64),
            t,
            method="rk4",
            options={**options, "interp": interp},
        )[1]
        for interp in ("linear", "cubic")
    )
    assert linear == pytest.approx(0.25) and cubic == pytest.approx(0.25**3)


def test_perturb_evaluates_just_inside_the_step():
    seen = []
    odeint(
        lambda t, y: seen.append(t.item()) or y,
        START,
        torch.tensor([1.0, 2.0], **f64),
        method="heun2",
        options={"perturb": True},
    )
    assert seen == [math.nextafter(1.0, 2), math.nextafter(2.0, 1)]


@pytest.mark.parametrize("sign", [1, -1])
def test_first_min_and_max_step_bound_the_steps(sign):
    first = attempts(sign * SPAN, first_step=0.011)
    assert first[0].h == pytest.approx(sign * 0.011)
    assert max(abs(s.h) for s in attempts(sign * SPAN, max_step=0.05)) <= 0.05
    free, coarse = attempts(sign * SPAN, tol=1e-10), attempts(sign * SPAN, tol=1e-10, min_step=0.3)
    assert len(coarse) <= 34 < len(free)
    assert min(abs(s.h) for s in coarse[:-1]) >= 0.3 - 1e-12 and all(s.accepted for s in coarse)


def test_max_num_steps_counts_between_output_times():
    assert len(attempts(SPAN)) > 20
    with pytest.raises(RuntimeError, match="max_num_steps"):
        attempts(SPAN, max_num_steps=10)
    attempts(torch.linspace(0, 10, 50, **f64), max_num_steps=10)


@pytest.mark.parametrize("sign", [1, -1])
def test_no_step_crosses_step_t_or_jump_t_and_times_outside_do_not_count(sign):
    marks = {
        "step_t": sign * torch.tensor([20.0, 3.3, -1.0, 0.0]),
        "jump_t": sign * torch.tensor([7.7]),
    }
    ends = [s.t + s.h for s in attempts(sign * SPAN, **marks)]
    for mark in (3.3, 7.7):
        assert min(abs(end - sign * mark) for end in ends) < 1e-6
    assert ends[-1] == sign * 10.0


@pytest.mark.parametrize("sign", [1, -1])
def test_knowing_the_jumps_saves_evaluations_and_keeps_the_accuracy(sign, counted):
    marks = torch.tensor([0.5, 1.2, 1.7], **f64)

    def field(t, y):
        return sign * (1 - 2 * ((sign * t > marks).sum() % 2)) * y

    t = sign * torch.tensor([0.0, 2.0], **f64)
    blind, knowing = counted(field), counted(field)
    odeint(blind, START, t, rtol=1e-8, atol=1e-8)
    y = odeint(knowing, START, t, rtol=1e-8, atol=1e-8, options={"jump_t": sign * marks})
    assert knowing.calls < blind.calls / 3
    torch.testing.assert_close(y[-1], START * math.exp(0.5 - 0.7 + 0.5 - 0.3), rtol=1e-7, atol=0)


def test_the_norm_decides_which_entries_matter():
    def field(t, y):
        return torch.stack([-y[0], torch.cos(40 * t)])

    calm = attempts(SPAN, field, norm=lambda error: error[0].abs())
    busy = attempts(SPAN, field, norm=lambda error: error.abs().max())
    assert len(calm) < len(busy) / 4


def test_tolerances_may_differ_between_entries_and_parts():
    def count(slow, fast, y0, atol):
        def field(t, y):
            parts = (torch.cos(slow * t), torch.cos(fast * t))
            return parts if isinstance(y0, tuple) else torch.stack(parts)

        return solve(field, y0, SPAN / 5, rtol=0.0, atol=atol).stats.accepted

    entries = torch.ones(2, **f64)
    atol = torch.tensor([1e-9, 1e-2])
    lax_on_the_fast, strict_on_the_fast = count(1, 9, entries, atol), count(9, 1, entries, atol)
    assert lax_on_the_fast < strict_on_the_fast / 2
    assert count(1, 9, tuple(entries), (1e-9, 1e-2)) <= lax_on_the_fast + 5


def test_safety_and_the_factors_steer_the_steps():
    careful, usual = (
        statistics.median(s.error_ratio for s in attempts(SPAN, safety=x)) for x in (0.5, 0.9)
    )
    assert careful < 0.1 < usual
    sizes = [s.h for s in attempts(SPAN, ifactor=1.5, first_step=1e-3)][:-1]
    assert max(b / a for a, b in itertools.pairwise(sizes)) <= 1.5 + 1e-12
    steps = attempts(SPAN, dfactor=0.7, first_step=8.0)
    rejected = [(a.h, b.h) for a, b in itertools.pairwise(steps) if not a.accepted]
    assert rejected and all(b >= 0.7 * a - 1e-12 for a, b in rejected)


def test_the_pi_controller_rejects_fewer_steps_where_stability_limits_them():
    def stiff(t, y):
        return -500 * (y - torch.cos(t))

    rejected = {}
    for name in ("I", "PI"):
        steps = attempts(SPAN / 10, stiff, tol=1e-4, controller=name)
        rejected[name] = sum(not s.accepted for s in steps)
        y = odeint(stiff, START, SPAN / 10, rtol=1e-4, atol=1e-4, options={"controller": name})
        torch.testing.assert_close(y[-1], torch.cos(SPAN[-1:] / 10).expand(2), rtol=0, atol=5e-3)
    assert rejected["PI"] < rejected["I"]


def test_a_controller_may_be_a_function():
    steps = attempts(SPAN, controller=lambda ratio, h, order: (True, 1.0), first_step=0.5)
    assert [s.h for s in steps] == [0.5] * 20


@pytest.mark.parametrize("sign", [1, -1])
def test_callbacks_are_told_of_every_attempt(sign):
    class Told(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.steps, self.accepted, self.rejected = [], [], []

        def forward(self, t, y):
            return pendulum(t, y)

        def callback_step(self, t, y, h):
            self.steps.append((t.item(), h.item(), y.shape))

        def callback_accept_step(self, t, y, h):
            self.accepted.append((t.item(), h.item(), y.shape))

        def callback_reject_step(self, t, y, h):
            self.rejected.append((t.item(), h.item(), y.shape))

    told = Told()
    solution = solve(
        told, START, sign * SPAN, rtol=1e-6, atol=1e-6, options={"first_step": 5.0}, record=True
    )
    assert told.steps == [(s.t, abs(s.h), (2,)) for s in solution.steps]
    assert told.accepted == [(s.t, abs(s.h), (2,)) for s in solution.steps if s.accepted]
    assert len(told.rejected) == solution.stats.rejected > 0


def test_callbacks_that_a_method_does_not_call_are_warned_about():
    def field(t, y):
        return -y

    field.callback_step = field.callback_accept_step = lambda t, y, h: calls.append(h)
    calls = []
    with pytest.warns(UserWarning, match="'euler' does not call callback_accept_step"):
        odeint(field, START, SPAN, method="euler", options={"step_size": 1.0})
    assert len(calls) == 10


@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("points", [2, 40])
@pytest.mark.parametrize("method", METHODS)
def test_the_counter_equals_the_real_number_of_evaluations(method, points, record, counted):
    field = counted(pendulum)
    options = {} if method in [*ADAPTIVE, "scipy_solver"] else {"step_size": 0.13}
    t = torch.linspace(0, 2, points, **f64)
    kwargs = {"rtol": 1e-4, "atol": 1e-4, "method": method, "options": options}
    assert (
        solve(field, START, t, **kwargs, record=record and method != "scipy_solver").stats.nfe
        == field.calls
        > 0
    )


@pytest.mark.parametrize("times", [[0.0, 0.3, 1.0], [0.0, 1.0]], ids=["an output inside", "none"])
@pytest.mark.parametrize("method", ["euler", "rk4", "dopri5"])
def test_perturbed_steps_see_a_jump_at_a_grid_point_from_their_own_side(method, times):
    def switched(t, y):
        return torch.ones_like(y) * (1.0 if t <= 0.5 else 3.0)

    options = {"step_size": 0.5, "perturb": True}
    for record in (False, True):
        end = solve(
            switched,
            torch.zeros(1, **f64),
            torch.tensor(times, **f64),
            method=method,
            options=options,
            record=record,
        ).y[-1]
        torch.testing.assert_close(end, torch.full_like(end, 2.0), rtol=0, atol=1e-12)
