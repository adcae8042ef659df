"""Lesson 03: the explorable solves as `solve` does, bounces, what a step does inside, figures."""

import inspect
import json
import math
import re
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from node_tutorial import METHODS, Tableau, exercises, register_method, solve
from node_tutorial.data.systems import oscillator, oscillator_exact, pendulum, van_der_pol
from node_tutorial.lessons.adaptive_steps import (
    adaptive_loop,
    adaptive_solve,
    bouncing_ball,
    figures,
)
from node_tutorial.plotting import fitted_slope
from node_tutorial.solvers.integrate import march

float64 = torch.float64

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03_adaptive_steps.ipynb"
TEXT = "\n".join(
    "".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
)

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


def test_the_flight_is_shown_until_a_time():
    whole = bouncing_ball.compute(0.8, 6, 3e-2)
    half = bouncing_ball.compute(0.8, 6, 3e-2, frame=20)
    assert half.t == pytest.approx(whole.end / 2) and len(whole.found) == 6
    for part, path in ((half.exact, whole.exact), (half.watched, whole.watched)):
        times, heights = part
        n = len(times)
        assert torch.equal(times, path[0][:n]) and torch.equal(heights, path[1][:n])
        assert times[-1] <= half.t < path[0][n]
    assert torch.equal(half.found, whole.found[whole.found <= half.t])
    assert torch.equal(half.watch_errors, whole.watch_errors)
    assert "the ball is at" in bouncing_ball.describe(half)


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
    errors = figures.inside_steps(turned, oscillator, rotation, n=8)
    assert errors.t.shape == errors.cubic.shape == (turned.stats.accepted, 8)
    assert errors.cubic.max() > 3 * errors.own.max()
    assert torch.allclose(errors.cubic[:, -1], errors.own[:, -1], rtol=0, atol=1e-14)


def test_the_loop_that_is_played_is_the_packages():
    pair = Tableau(
        "heun_euler", order=2, c=(0, 1), a=((), (1,)), b=(1 / 2, 1 / 2), error=(-1 / 2, 1 / 2)
    )
    y0 = torch.tensor([2.0, 0.0], dtype=float64)
    t = torch.tensor([0.0, 5.0], dtype=float64)
    settings = {"rtol": 1e-2, "atol": 1e-2, "options": {"first_step": 0.1}, "record": True}
    if pair.name not in METHODS:
        register_method(pair)
    solution = solve(partial(van_der_pol, mu=2.0), y0, t, method="heun_euler", **settings)
    played = adaptive_loop.attempts(0.01, 0.9)
    assert torch.allclose(
        torch.tensor([(a.t, a.h, a.ratio, a.accepted) for a in played], dtype=float64),
        torch.tensor(solution.steps, dtype=float64),
    )


def test_each_frame_adds_an_attempt_until_there_are_no_more():
    data = [adaptive_loop.compute(frame, 0.1, 0.9) for frame in (0, 10, 79)]
    assert [len(d.attempts) for d in data] == [1, 11, data[0].total]
    assert "rejected" in adaptive_loop.describe(adaptive_loop.compute(20, 0.01, 0.9))


def test_a_rejected_step_needs_a_safety_factor():
    rejected = [
        sum(not a.accepted for a in adaptive_loop.attempts(0.01, safety))
        for safety in (0.7, 0.8, 0.9, 1.0)
    ]
    assert rejected == sorted(rejected) and rejected[-1] > 5 * rejected[-2]


def test_the_stages_of_the_four_pairs_are_as_the_text_says():
    said_of = {"bosh3": "three new stages", "dopri5": "5 and 4, six", "dopri8": "order 8, thirteen"}
    assert all(words in TEXT for words in said_of.values())
    assert [METHODS[m].evaluations for m in ("bosh3", "dopri5", "tsit5", "dopri8")] == [3, 6, 6, 13]


def test_where_and_why_attempts_are_rejected():
    """What the lesson's answer says."""
    played = adaptive_loop.attempts(0.01, 0.9)
    near = [a for a in played if 1.5 < a.t < 3.6]
    assert 0.35 < sum(not a.accepted for a in near) / len(near) < 0.45
    assert all(a.accepted for a in played if a.t > 3.6)
    tight = adaptive_loop.attempts(0.01, 1.0)
    repeated = [b.accepted for a, b in pairwise(tight) if not a.accepted]
    assert sum(repeated) / len(repeated) == pytest.approx(0.2, abs=0.05)


def test_the_shortest_steps_are_those_behind_the_jump():
    accepted = [a for a in adaptive_loop.attempts(0.01, 0.9) if a.accepted and a.t < 4.5]
    shortest = sorted(accepted, key=lambda a: a.h)[:5]
    assert all(a.t > 3.3 and a.x < -1.8 for a in shortest)


def test_what_the_meaning_of_03_2_says():
    y0 = torch.tensor([1.0, 0.0], dtype=float64)
    t = torch.tensor([0.0, 20.0], dtype=float64)
    tolerances = [10.0**-k for k in range(3, 11)]
    stats = [solve(pendulum, y0, t, rtol=tol, atol=tol).stats for tol in tolerances]
    nfe, accepted = (
        fitted_slope(tolerances, counts)
        for counts in ([s.nfe for s in stats], [s.accepted for s in stats])
    )
    assert -0.2 < accepted < nfe and (nfe - accepted) / (nfe + 0.2) == pytest.approx(0.55, abs=0.1)
    share = [s.rejected / (s.accepted + s.rejected) for s in stats]
    assert share[0] == pytest.approx(1 / 5, abs=0.02)
    assert share[-1] == pytest.approx(1 / 20, abs=0.01)


def test_the_quoted_loop_is_the_packages():
    [quoted] = re.findall(r"```python\n(while stop:.*?)```", TEXT, re.DOTALL)
    source = inspect.getsource(march)
    place = 0
    for line in quoted.splitlines():
        code = line.partition("  #")[0].strip()
        if code and code != "...":
            place = source.find(code, place)  # in this order
            assert place >= 0, code


# -- exercises: right answers in other forms, and wrong ones ---------------------------------------


def said(id, answer):
    return exercises.find(id).assess(answer)


@pytest.mark.parametrize(
    "answer",
    [
        (1, -3, 2),
        [Fraction(-1, 9), Fraction(1, 3), Fraction(-2, 9)],
        torch.tensor([2 / 9, -2 / 3, 4 / 9], dtype=torch.float32),
        np.array([2 / 9, 1 / 3, 4 / 9]) - np.array([1 / 4, 1 / 4, 1 / 2]),  # of order 2 as well
        (0.2222, -0.6667, 0.4444),
    ],
)
def test_every_difference_to_an_answer_of_order_2_is_an_estimate(answer):
    assert said("03.1", answer).state == "correct"


@pytest.mark.parametrize(
    "answer",
    [
        (1.0, -1.0, 0.0),  # sum zero, but not of weight times c
        (3.0, -3.0, 2.0),  # weight times c zero, but not the sum
        (2 / 9, 1 / 3, -5 / 9),
        (0.0, 0.0, float("nan")),
        (1e-12, -3e-12, 2e-12),
    ],
)
def test_no_other_weights_are_an_estimate(answer):
    assert said("03.1", answer).state == "not yet"


def test_weights_of_two_digits_are_told_to_be_fractions():
    assert "fractions" in said("03.1", (0.22, -0.67, 0.44)).message
    assert "Which condition" in said("03.1", (-7 / 9, 1 / 3, 4 / 9)).message


def test_ralstons_method_becomes_adaptive_by_the_estimate():
    error = exercises.find("03.1").reference()
    pair = Tableau(
        "ralston_adaptive",
        order=3,
        c=(0, 1 / 2, 3 / 4),
        a=((), (1 / 2,), (0, 3 / 4)),
        b=(2 / 9, 1 / 3, 4 / 9),
        error=tuple(error),
    )
    if pair.name not in METHODS:
        register_method(pair)
    t = torch.tensor([0.0, 6.0], dtype=float64)
    costs = []
    for tol in (1e-4, 1e-7):
        solution = solve(oscillator, START, t, rtol=tol, atol=tol, method=pair.name)
        costs.append(solution.stats.accepted)
        assert (solution.y[-1] - rotation(t[-1])).abs().max() < 20 * tol
    assert math.log(costs[1] / costs[0], 1000) == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize(
    ("id", "right", "wrong"),
    [
        (
            "03.2",
            [-0.178, np.float32(-0.1775), torch.tensor([-0.1778])],
            [0.178, -5.2, -0.2, -0.33, -0.19],
        ),
        ("03.3", [1e-8, np.float32(1e-8), torch.tensor(1e-8)], [1e-4, 1e-7, 1e-9, 2e-8, 8]),
        (
            "03.4",
            [1.327, np.float32(1.3267), torch.tensor([1.3267])],
            [0.64, 0.3, 0.51, 1.31, -1.3, 1.33, -0.307],
        ),
    ],
)
def test_numbers_are_taken_in_any_form_and_wrong_ones_are_not(id, right, wrong):
    assert {said(id, answer).state for answer in right} == {"correct"}
    assert {said(id, answer).state for answer in wrong} == {"not yet"}
