"""Lesson 04: steps and costs are the package's; what is read off a solve and off a message."""

from functools import partial

import numpy as np
import pytest
import torch

from node_tutorial import SolveError, solve
from node_tutorial.data.systems import (
    decay_to_cosine,
    decay_to_cosine_exact,
    robertson,
    van_der_pol,
    van_der_pol_exact,
)
from node_tutorial.lessons.stiffness import crossover, figures, stiff_decay
from node_tutorial.plotting import text_problems

float64 = torch.float64
START = torch.tensor([1.0, 0.0, 0.0], dtype=float64)


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
    beyond = stiff_decay.compute(lam=50.0, h=0.05, method="Euler")
    assert beyond.R == pytest.approx(-1.5) and beyond.error > 1e3
    assert "grows, changing its sign" in stiff_decay.describe(beyond)
    far = stiff_decay.compute(lam=1000.0, h=0.5, method="Radau IIA")
    assert abs(far.R) < 0.01 and far.error < 1e-3 and "dies out" in stiff_decay.describe(far)


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


def test_decay_figures_report_sizes_and_late_errors():
    t = torch.linspace(0, 1.5, 4, dtype=float64)
    exact = torch.from_numpy(decay_to_cosine_exact(t.numpy(), 50.0)).unsqueeze(1)
    runs = {"exact": (t, exact), "off": (t, exact + times(9, 0, 0, 0.5)[:, None])}
    _, largest, late = figures.decay_figure(runs, 50.0)
    assert largest == pytest.approx([float(exact.max()), 9.0]) and late == pytest.approx([0, 0.5])


def test_figures_are_readable():
    f = partial(van_der_pol, mu=5.0)
    y0 = times(2.0, 0.0)
    exact = van_der_pol_exact(5.0)
    runs = {
        f"tolerance {tol:.0e}": solve(f, y0, times(0, 10), rtol=tol, atol=tol, record=True)
        for tol in (1e-3, 1e-5)
    }
    settings = {"rtol": 1e-3, "atol": 1e-9, "method": "kvaerno5", "record": True}
    reaction = solve(robertson, START, times(0, 0.3), **settings)
    t = torch.linspace(0, 1.5, 31, dtype=float64)
    phase, steps, time = figures.phase_figure(runs["tolerance 1e-03"], f, 0.5, 3.3)
    border, shares = figures.border_figure(f, runs, exact, 3.3, 5.0)
    assert 0 <= steps <= 1 and 0 <= time <= 1 and len(shares) == 2
    panels = {"36 steps, h = 0.0417": (t, torch.cos(t)[:, None]), "trbdf2": (t, 0 * t[:, None])}
    creeping = {"dopri5": runs["tolerance 1e-03"], "kvaerno5": runs["tolerance 1e-05"]}
    plateaus = ("dopri5, rtol 1e-02: 209 steps", "kvaerno5, rtol 1e-02: 16 steps")
    costs = {"dopri5": [20, 90, 3000], "kvaerno5": [40, 150, 200]}
    drawn = [
        figures.decay_figure(panels, 50.0)[0],
        border,
        figures.creep_figure(creeping, exact),
        phase,
        figures.reaction_figure(reaction),
        figures.plateau_figure(dict.fromkeys(plateaus, reaction)),
        figures.speed_figure([1, 16, 1024], costs),
    ]
    for fig in drawn:
        fig.png()
        assert not text_problems(fig)
