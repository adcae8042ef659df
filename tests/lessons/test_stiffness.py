"""Lesson 04: steps and costs are the package's; what is read off a solve and off a message."""

from functools import partial

import numpy as np
import pytest
import torch

from node_tutorial import SolveError, exercises, odeint, solve
from node_tutorial.data.systems import (
    decay_to_cosine,
    decay_to_cosine_exact,
    robertson,
    van_der_pol,
)
from node_tutorial.lessons.stiffness import crossover, figures, newton_step, stiff_decay
from node_tutorial.plotting import blank

float64 = torch.float64


def times(*t):
    return torch.tensor(t, dtype=float64)


def pulled(rate):
    return partial(decay_to_cosine, rate=rate)


@pytest.mark.parametrize("name", stiff_decay.DECAY_METHODS)
def test_the_explorable_steps_as_the_package_does(name):
    tableau = stiff_decay.DECAY_METHODS[name]
    t = torch.linspace(0, 0.6, 7, dtype=float64)
    settings = {"rtol": 1e-12, "atol": 1e-12, "options": {"step_size": 0.1}}
    y = solve(pulled(20.0), times(0.0), t, method=tableau.name, **settings).y[:, 0]
    assert np.allclose(stiff_decay.decay_steps(tableau, 20.0, 0.1, 6), y, rtol=0, atol=1e-9)


def test_a_disturbance_grows_beyond_the_boundary_and_dies_out_far_left_of_it():
    beyond = stiff_decay.compute(rate=50.0, h=0.05, method="Euler")
    assert beyond.R == pytest.approx(-1.5) and beyond.error > 1e3
    assert "grows, changing its sign" in stiff_decay.describe(beyond)
    far = stiff_decay.compute(rate=1000.0, h=0.5, method="Radau IIA")
    assert abs(far.R) < 0.01 and far.error < 1e-3 and "dies out" in stiff_decay.describe(far)


def test_an_error_that_grows_is_reported_as_it_is():
    t = torch.linspace(0, 3, 61, dtype=float64)
    y = odeint(pulled(50.0), times(0.0), t, method="euler")[-1, 0]
    error = abs(float(y) - decay_to_cosine_exact(3.0, 50.0))
    data = stiff_decay.compute(rate=50.0, h=0.05, method="Euler")
    assert error > 1e10 and data.error == pytest.approx(error, rel=1e-6) and not data.diverged
    assert "off by 3.7e+10" in stiff_decay.describe(data)
    fig = blank((8.6, 3.9))
    stiff_decay.draw(fig, data)
    assert "error at the end 3.7e+10" in fig.axes[1].get_title(loc="left")


def test_a_state_that_overflows_has_diverged():
    data = stiff_decay.compute(rate=1000.0, h=0.01, method="RK4")
    assert data.diverged and "over 1e308" in stiff_decay.describe(data)


def test_the_crossover_counts_as_solve_does():
    data = crossover.compute(mu=4, tol=1e-3, method="trbdf2")
    for name, run in (("dopri5", data.explicit), ("trbdf2", data.implicit)):
        f = partial(van_der_pol, mu=4)
        settings = {"rtol": 1e-3, "atol": 1e-3, "options": {"controller": "PI"}}
        solution = solve(f, times(2.0, 0.0), times(0.0, 4.0), method=name, **settings)
        assert run.stats == solution.stats
        assert len(run.t) == run.stats.accepted + 1 and run.t[-1] == pytest.approx(1)
        assert data.costs[name][2] == run.stats.nfe and run.error < 0.1


def test_the_explicit_solver_holds_its_step_at_the_limit_and_the_implicit_one_does_not():
    data = crossover.compute(mu=64, tol=1e-3, method="kvaerno5")
    creeping = []
    for run in (data.explicit, data.implicit):
        middle = (run.t[:-1] > 0.2) & (run.t[1:] < 0.6)
        limit = np.interp(run.t[:-1], data.curve.t, data.curve.limit)
        creeping.append((64 * np.diff(run.t) / limit)[middle])
    explicit, implicit = creeping
    assert np.allclose(explicit, 1, atol=0.15) and implicit.min() > 30


def test_the_stability_limit_follows_the_leftmost_eigenvalue():
    limit = crossover.stability_limit(50.0, [[2.0, 0.0], [0.0, 0.0]], boundary=3.0)
    leftmost = 149.99333  # lambda^2 + 150 lambda + 1 = 0; at the second state none is to the left
    assert limit == pytest.approx([3 / leftmost, 1e3], rel=1e-5)


def test_spectra_are_those_of_the_jacobian_at_the_accepted_steps():
    matrix = times(-1.0, 0.0, 2.0, -30.0).reshape(2, 2)
    solution = solve(lambda t, y: matrix @ y, times(1.0, 1.0), times(0.0, 1.0), record=True)
    eigenvalues, h = figures.spectra(lambda t, y: matrix @ y, solution)
    assert eigenvalues.shape == (solution.stats.accepted, 2) and h.sum() == pytest.approx(1)
    assert torch.allclose(eigenvalues.real.sort(dim=1).values, times(-30.0, -1.0))


def test_the_comparison_lists_costs_and_errors_of_all_methods():
    rows = figures.robertson_costs(robertson, 1.0, 1e-5, 1e-9)
    names = [row[0] for row in rows]
    assert names == ["trbdf2", "kvaerno3", "kvaerno5", "scipy's Radau", "scipy's BDF"]
    assert all(0 < row[3] < row[2] and row[5] < 1e-2 for row in rows)


@pytest.mark.parametrize(
    ("f", "y0", "settings", "said"),
    [
        (lambda t, y: y**2, 1.0, {}, "underflow in dt, t = 1, |y| huge, ratio"),
        (lambda t, y: -2 * torch.sqrt(y), 1.0, {}, "underflow in dt, t = 1, not finite, |y| tiny"),
        (pulled(1e6), 1.0, {"options": {"max_num_steps": 50}}, "max_num_steps exceeded, t = 0.00"),
        (lambda t, y: torch.log(y), -1.0, {}, "func(t[0], y0) is not finite, t = 0"),
        (
            pulled(1e9),
            1.0,
            {"method": "euler", "options": {"step_size": 0.01}},
            "the solution is not finite, t = 2",
        ),
        (
            lambda t, y: y**2,
            1.0,
            {"method": "implicit_euler", "options": {"step_size": 0.5}},
            "Newton's iteration does not converge, t = 0",
        ),
    ],
)
def test_messages_are_read_in_short(f, y0, settings, said):
    with pytest.raises(SolveError) as failure:
        solve(f, times(y0), times(0.0, 2.0), **settings)
    assert figures.reading(failure.value).startswith(said)


@pytest.mark.parametrize("s", [0.1, 1.0, 10.0])
def test_the_three_iterations_are_newtons_the_kept_one_and_the_plain_one(s):
    root = newton_step.step_end(s)
    step = solve(lambda t, u: -s * u**3, times(1.0), times(0.0, 1.0), method="implicit_euler")
    fine = solve(
        lambda t, u: -s * u**3,
        times(1.0),
        times(0.0, 1.0),
        method="implicit_euler",
        rtol=1e-12,
        atol=1e-14,
    )
    assert float(fine.y[-1]) == pytest.approx(root, abs=1e-10)
    assert float(step.y[-1]) == pytest.approx(root, abs=1e-6)
    newton = newton_step.iterate(s, newton_step.NEWTON)
    assert newton[1] == 1 - s / (1 + 3 * s) and newton[-1] == pytest.approx(root, abs=1e-12)
    plain = newton_step.iterate(s, newton_step.PLAIN)
    assert plain[1] == pytest.approx(1 - s) and (abs(plain[-1]) > 1000) == (s > 1)
    kept = newton_step.iterate(s, newton_step.KEPT)
    assert kept[1] == newton[1] and (kept[1:] > root - 1e-12).all()


def test_the_plain_iteration_arrives_where_h_lambda_is_below_one():
    for s in (0.1, 0.3, 0.5, 1.0, 2.0):
        errors = abs(newton_step.iterate(s, newton_step.PLAIN) - newton_step.step_end(s))
        shrinks = 3 * s * newton_step.step_end(s) ** 2 < 1
        assert (errors[-1] < errors[-3] < errors[-5]) == shrinks


def test_the_package_keeps_its_jacobian_too_and_so_fails_where_the_kept_slope_is_too_steep():
    def f(t, u):
        return -100 * u**3

    with pytest.raises(SolveError, match="Newton's iteration does not converge"):
        solve(f, times(1.0), times(0.0, 1.0), method="implicit_euler")
    kept = newton_step.compute(100.0, newton_step.KEPT, 10)
    assert kept.error > 0.1 > 1e-12 > newton_step.compute(100.0, newton_step.NEWTON, 10).error


def test_an_iterate_that_has_run_away_is_said_to_have():
    away = newton_step.compute(10.0, newton_step.PLAIN, 2)
    assert newton_step.describe(away).endswith("iteration 2: it has run away.")
    there = newton_step.compute(10.0, newton_step.NEWTON, 5)
    assert "off by 5e-07" in newton_step.describe(there)


def test_noise_crawls_and_a_jump_ends_neither_underflows():
    """A looser tolerance helps against noise, and not against stiffness."""
    noise = torch.Generator().manual_seed(0)

    def noisy(t, y):
        return torch.randn(1, generator=noise, dtype=float64) - y

    reached = {}
    for name, f in (("noise", noisy), ("stiff", pulled(1e6))):
        for tol in (1e-7, 1e-5):
            solution = figures.outcome(
                solve,
                f,
                times(1.0),
                times(0.0, 10.0),
                rtol=tol,
                atol=tol,
                options={"max_num_steps": 1000},
            )
            assert solution.startswith("max_num_steps exceeded"), (name, tol)
            reached[name, tol] = float(solution.partition("t = ")[2])
    assert reached["noise", 1e-5] > 10 * reached["noise", 1e-7]
    assert reached["stiff", 1e-5] < 1.2 * reached["stiff", 1e-7]
    for size in (1.0, 1e6):

        def switched(t, y, size=size):
            return size * (t > 1).double() - y

        jump = figures.outcome(solve, switched, times(1.0), times(0.0, 2.0))
        assert jump == "no message; the least y is positive"
        stats = solve(switched, times(1.0), times(0.0, 2.0)).stats
        assert 12 < stats.rejected < 90, "a few dozen"


def test_torchdiffeq_says_no_more_than_underflow():
    torchdiffeq = pytest.importorskip("torchdiffeq")
    broken = figures.outcome(
        torchdiffeq.odeint, lambda t, y: torch.nan * y, times(1.0), times(0.0, 1.0)
    )
    assert broken == "underflow in dt"


@pytest.mark.parametrize(
    ("method", "mild", "stiff"),
    [("radauIIA5", 5, 3), ("kvaerno5", 5, 2), ("kvaerno3", 3, 2), ("trbdf2", 2, 2)],
)
def test_a_stiff_pull_reduces_the_order_to_that_of_the_stages(method, mild, stiff):
    assert figures.observed_order(method, 1.0) == pytest.approx(mild, abs=0.1)
    assert figures.observed_order(method, 1e4) == pytest.approx(stiff, abs=0.1)


def test_sizes_and_late_errors_of_decays():
    t = torch.linspace(0, 1.5, 4, dtype=float64)
    exact = torch.from_numpy(decay_to_cosine_exact(t.numpy(), 50.0)).unsqueeze(1)
    runs = {"exact": (t, exact), "off": (t, exact + times(9, 0, 0, 0.5)[:, None])}
    assert figures.largest_sizes(runs) == pytest.approx([float(exact.max()), 9.0])
    assert figures.late_errors(runs, 50.0) == pytest.approx([0, 0.5])


def test_a_solver_limited_by_stability_flutters_at_the_boundary_and_pi_flutters_less():
    f = pulled(1000.0)
    start = times(1.0)
    runs = [
        solve(f, start, times(0.0, 1.0), rtol=1e-3, atol=1e-3, options=options, record=True)
        for options in ({}, {"controller": "PI"})
    ]
    assert all(figures.share_at_boundary(f, run, 3.307) > 0.8 for run in runs)
    assert 1 <= figures.flutter(runs[1]) < figures.flutter(runs[0])
    longer, h = figures.too_long_for_explicit(f, runs[0], 1.5 * 3.307)
    long, _ = figures.too_long_for_explicit(f, runs[0], 0.5 * 3.307)
    assert longer.double().mean() < 0.1 and long.double().mean() > 0.9
    assert len(h) == runs[0].stats.accepted


def test_the_kinetic_energy_and_the_jacobian_of_a_decay():
    energy, jacobian = figures.energy_and_jacobian(
        lambda t, y: -3 * y, times(1.0, 0.0), times(0.0, 1.0)
    )
    assert energy == pytest.approx(9 * (1 - np.exp(-6)) / 6, rel=0.01) and jacobian == 3.0


# -- exercises: right answers in other forms, and wrong ones ---------------------------------------


def said(id, answer):
    return exercises.find(id).assess(answer)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (100 / 2900, "correct"),
        (np.float32(1 / 29), "correct"),
        (torch.tensor([0.0345]), "correct"),
        (0.0343, "correct"),
        (0.04, "not yet"),
        (0.0371, "not yet"),
        (0.0172, "not yet"),
        (0.0557, "not yet"),
        (-0.0345, "not yet"),
        (float("inf"), "not yet"),
    ],
)
def test_the_longest_step_of_a_turning_decay(answer, state):
    assert said("04.1", answer).state == state


def test_a_step_that_is_refused_is_called_too_long_or_too_short():
    assert "grows" in said("04.1", 0.0352).message and "Go down" in said("04.1", 0.1).message
    assert "Go up" in said("04.1", 0.03).message
    assert "positive" in said("04.1", -1 / 29).message


def test_a_cure_that_fails_is_named():
    cures = {**CURES, "tolerances": {"rtol": 1e-8, "atol": 1e-3}}
    assert "'tolerances' does not reach" in said("04.4", cures.__getitem__).message
    cures = {**CURES, "method": {**LOOSE, "method": "trapezoid"}}
    assert "'method' ends without an error" in said("04.4", cures.__getitem__).message


def by_inverse(A, y, h):
    eye = np.eye(2)
    A = np.asarray(A)
    return np.linalg.inv(eye - h / 2 * A) @ (eye + h / 2 * A) @ np.asarray(y)


def in_float32(A, y, h):
    A = A.float()
    eye = torch.eye(2)
    return torch.linalg.solve(eye - h / 2 * A, (eye + h / 2 * A) @ y.float())


def by_increment(A, y, h):
    eye = torch.eye(len(y), dtype=y.dtype)
    return (y + torch.linalg.solve(eye - h / 2 * A, h * A @ y)).tolist()


def by_the_package(A, y, h):
    t = torch.tensor([0.0, h], dtype=y.dtype)
    return odeint(lambda t, y: A @ y, y, t, method="trapezoid", rtol=1e-9, atol=1e-12)[-1]


@pytest.mark.parametrize("step", [by_inverse, in_float32, by_increment, by_the_package])
def test_a_trapezoid_step_may_be_written_in_many_ways(step):
    assert said("04.2", step).state == "correct"


@pytest.mark.parametrize(
    "step",
    [
        lambda A, y, h: torch.linalg.matrix_exp(h * A) @ y,
        lambda A, y, h: torch.linalg.solve(torch.eye(2).double() - h / 2 * A, y),
        lambda A, y, h: y + h * A @ y,
    ],
)
def test_another_step_is_not_the_trapezoid_rules(step):
    assert said("04.2", step).state == "not yet"


def test_a_bracket_may_be_a_list_an_array_or_a_tensor():
    low, high = exercises.find("04.3").reference()
    for pair in ([low, high], np.array([low, high]), torch.tensor([low, high])):
        assert said("04.3", pair).state == "correct"
    for wrong in ((high, low), (2.0, 2.5), (50.0, 60.0)):
        assert said("04.3", wrong).state == "not yet"


LOOSE = {"rtol": 1e-3, "atol": 1e-3}
CURES = {
    "fail": LOOSE,
    "method": {**LOOSE, "method": "kvaerno5"},
    "tolerances": {**LOOSE, "atol": 1e-8},
    "steps": {**LOOSE, "options": {"max_step": 1e-3}},
}


@pytest.mark.parametrize(
    ("way", "change"),
    [
        ("tolerances", {"atol": times(1e-3, 1e-9, 1e-3)}),
        ("tolerances", {"rtol": times(1e-6, 1e-6, 1e-6), "atol": times(1e-9, 1e-9, 1e-9)}),
        ("method", {"method": "trbdf2"}),
        ("steps", {"options": {"max_step": torch.tensor(1e-3)}}),
    ],
)
def test_a_cure_may_hold_tensors(way, change):
    feedback = said("04.4", lambda asked: {**CURES[asked], **(change if asked == way else {})})
    assert feedback.state == "correct", feedback.message


@pytest.mark.parametrize(
    ("way", "change"),
    [
        ("tolerances", {"atol": times(1e-3, 1e-3, 1e-3)}),
        ("method", {"method": "tsit5"}),
        ("steps", {"options": {"min_step": 1e-3}}),
        ("steps", {"options": {"max_step": 1e-3}, "atol": times(1e-9, 1e-9, 1e-9)}),
    ],
)
def test_what_does_not_cure_or_changes_two_things_is_refused(way, change):
    feedback = said("04.4", lambda asked: {**CURES[asked], **(change if asked == way else {})})
    assert feedback.state == "not yet", feedback.message
