"""Lesson 03: the explorable solves as `solve` does, bounces, what a step does inside, figures."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch

from node_tutorial import solve
from node_tutorial.data.systems import oscillator, oscillator_exact, van_der_pol, van_der_pol_exact
from node_tutorial.lessons.adaptive_steps import adaptive_solve, bouncing_ball, figures
from node_tutorial.plotting import text_problems

float64 = torch.float64


START = torch.tensor([1.0, 0.0], dtype=float64)


def rotation(t):
    return oscillator_exact(t, START)


@pytest.fixture(scope="module")
def turned():
    t = torch.tensor([0.0, 6.0], dtype=float64)
    return solve(oscillator, START, t, rtol=1e-6, atol=1e-6, record=True)


def test_the_explorable_counts_as_solve_does():
    data = adaptive_solve.compute(rtol=1e-5, atol=1e-5, method="tsit5", mu=2)
    y0 = torch.tensor([2.0, 0.0], dtype=float64)
    t = torch.tensor([0.0, 15.0], dtype=float64)
    field = partial(van_der_pol, mu=2)
    solution = solve(field, y0, t, rtol=1e-5, atol=1e-5, method="tsit5", record=True)
    stats = solution.stats
    assert (data.nfe, data.accepted, data.rejected) == (stats.nfe, stats.accepted, stats.rejected)
    assert data.reached and len(data.steps) == stats.accepted + stats.rejected
    assert torch.allclose(data.x, solution(data.t)[:, 0], rtol=0, atol=1e-9)


def test_the_explorable_stops_at_its_budget_and_says_so():
    data = adaptive_solve.compute(rtol=1e-10, atol=1e-10, method="bosh3", mu=8)
    assert not data.reached and 4000 <= data.nfe < 4010 and data.t[-1] < 15
    assert "all of the budget" in adaptive_solve.describe(data)


@pytest.mark.parametrize("restitution", [0.5, 0.9])
def test_events_find_the_bounces_and_looking_finds_them_late(restitution):
    exact = bouncing_ball.exact_bounces(restitution, 5)
    found, _ = bouncing_ball.bounces_by_events(restitution, 5)
    watched, _ = bouncing_ball.bounces_by_watching(restitution, 5, 1e-3)
    assert torch.allclose(found, exact, rtol=0, atol=1e-9)
    assert (watched > exact).all() and torch.allclose(watched, exact, rtol=0, atol=0.05)


def test_the_exact_path_touches_the_floor_at_the_bounces_only():
    times = bouncing_ball.exact_bounces(0.8, 4)
    t, y = bouncing_ball.exact_path(0.8, 4)
    assert y[0] == pytest.approx(1) and (y >= 0).all()
    peaks = [y[(t > a) & (t < b)].max().item() for a, b in pairwise(times)]
    assert peaks == pytest.approx([0.8 ** (2 * k) for k in (1, 2, 3)], abs=0.002)


def test_local_errors_are_of_order_p_plus_one():
    errors = [
        figures.local_errors(oscillator, torch.tensor([0.0, h], dtype=float64), rotation, "rk4")[0]
        for h in (0.2, 0.1)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(5, abs=0.2)


def test_inside_a_step_the_cubic_is_worse_and_at_its_end_nothing_differs(turned):
    _, cubic, own = figures.inside_steps(turned, rotation, n=8)
    assert cubic.max() > 3 * own.max()
    assert torch.allclose(cubic[7::8], own[7::8], rtol=0, atol=1e-14)


def test_the_shown_source_is_the_loop():
    from node_tutorial.solvers.integrate import march

    shown = figures.source_of(march, "while stop:").data
    assert (
        shown.startswith("```python\nwhile stop:\n    # Propose")
        and "# Move." in shown
        and shown.endswith("```")
    )


def test_figures_are_readable(turned):
    h, tols = 2.0 ** -torch.arange(1, 6).double(), [1e-3, 1e-5, 1e-7]
    exact = van_der_pol_exact(8)
    t = torch.linspace(0, 20, 41, dtype=float64)
    steps = [step._asdict() for step in turned.steps]
    drawn = [
        figures.step_anatomy(oscillator, t, exact(t), exact, "rk4")[0],
        figures.rug_figure(steps, t, exact(t)[:, 0]),
        figures.estimate_figure(h, h**2, h**3, 0.9 * h**2),
        figures.cost_figure(tols, {"bosh3": [100, 400, 1600], "dopri5": [90, 200, 500]}),
        figures.tolerance_figure(tols, {"expanding": [1.0, 1e-2, 1e-4], "contracting": tols}),
        figures.dense_output_figure(turned, rotation)[0],
        figures.error_cost_figure(
            [10.0**-k for k in range(1, 10)], range(20, 200, 20), 10.0 ** -torch.arange(9.0)
        ),
        figures.time_figure([10, 20], [1.0, 2.0]),
        figures.creep_figure({"I": turned, "PI": turned}),
    ]
    for fig in drawn:
        fig.png()
        assert not text_problems(fig)
