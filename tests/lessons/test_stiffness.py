"""Facts that lesson 04's helpers rely on: stability, references, what is read off a solve and off a
message.
"""

import numpy as np
import pytest
import torch

from node_tutorial import METHODS, SolveError, explore, solve
from node_tutorial.lessons.adaptive_steps.figures import van_der_pol_exact
from node_tutorial.lessons.runge_kutta import stability_point as runge_kutta_stability
from node_tutorial.lessons.stiffness import crossover as stiffness_crossover
from node_tutorial.lessons.stiffness import figures
from node_tutorial.lessons.stiffness import stiff_decay as regions
from node_tutorial.plotting import text_problems

float64 = torch.float64
START = torch.tensor([1.0, 0.0, 0.0], dtype=float64)


def times(*t):
    return torch.tensor(t, dtype=float64)


def pulled(lam):
    return lambda t, y: -lam * (y - torch.cos(t))


def robertson(t, y):
    a, b, c = y
    slow, back, fast = 0.04 * a, 1e4 * b * c, 3e7 * b * b
    return torch.stack([back - slow, slow - back - fast, fast])


@pytest.mark.parametrize("name", regions.DECAY_METHODS)
def test_the_explorable_steps_as_the_package_does(name):
    tableau, t = regions.DECAY_METHODS[name], torch.linspace(0, 0.6, 7, dtype=float64)
    y = solve(
        pulled(20.0),
        times(0.0),
        t,
        method=tableau.name,
        rtol=1e-12,
        atol=1e-12,
        options={"step_size": 0.1},
    ).y[:, 0]
    assert np.allclose(regions.decay_steps(tableau, 20.0, 0.1, 6), y, rtol=0, atol=1e-9)


def test_the_exact_decay_starts_at_y0_and_obeys_the_equation():
    t = np.linspace(0, 1, 5)
    slope = (
        regions.decay_exact(7.0, t + 1e-6, 0.3) - regions.decay_exact(7.0, t - 1e-6, 0.3)
    ) / 2e-6
    assert regions.decay_exact(7.0, 0.0, 0.3) == pytest.approx(0.3)
    assert np.allclose(slope, -7 * (regions.decay_exact(7.0, t, 0.3) - np.cos(t)), atol=1e-6)


@pytest.mark.parametrize("name", ["euler", "rk4_classic", "dopri5"])
def test_the_stability_function_is_lesson_02s_for_explicit_methods(name):
    z = np.array([-1.5 + 0.3j, 0.2 - 2j, -4.0])
    expected = runge_kutta_stability.stability_function(METHODS[name])(z)
    assert np.allclose(regions.stability_function(METHODS[name])(z), expected, rtol=1e-12)


def test_boundaries_on_the_real_axis():
    found = [regions.real_boundary(METHODS[name]) for name in ("euler", "rk4_classic", "dopri5")]
    assert found == pytest.approx([2.0, 2.785293563, 3.3066], abs=1e-4)


@pytest.mark.parametrize("name", ["implicit_euler", "trapezoid", "trbdf2", "kvaerno5", "radauIIA5"])
def test_implicit_methods_are_stable_in_the_left_half_plane(name):
    x, y = np.meshgrid(-np.logspace(-2, 4, 25), np.linspace(-40, 40, 41))
    assert (np.abs(regions.stability_function(METHODS[name])(x + 1j * y)) <= 1 + 1e-9).all()


def test_the_crossover_counts_as_solve_does():
    data = explore.crossover().evaluate(mu=4, tol=1e-3, method="trbdf2").data
    for name, run in (("dopri5", data["explicit"]), ("trbdf2", data["implicit"])):
        y0, options = times(2.0, 0.0), {"controller": "PI"}
        f = stiffness_crossover.van_der_pol(4)
        assert (
            run.stats
            == solve(
                f, y0, times(0.0, 4.0), rtol=1e-3, atol=1e-3, method=name, options=options
            ).stats
        )
        assert len(run.t) == run.stats.accepted + 1 and run.t[-1] == pytest.approx(1)
        assert data["costs"][name][2] == run.stats.nfe and run.error < 0.1


def test_the_explicit_solver_holds_its_step_at_the_limit_and_the_implicit_one_does_not():
    data = explore.crossover().evaluate(mu=64, tol=1e-3, method="kvaerno5").data
    creeping = {}
    for name in ("explicit", "implicit"):
        t = data[name].t
        middle = (t[:-1] > 0.2) & (t[1:] < 0.6)
        limit = np.interp(t[:-1], data["t"], data["limit"])
        creeping[name] = (64 * np.diff(t) / limit)[middle]
    assert np.allclose(creeping["explicit"], 1, atol=0.15) and creeping["implicit"].min() > 30


def test_the_stability_limit_follows_the_leftmost_eigenvalue():
    limit = stiffness_crossover.stability_limit(50.0, [[2.0, 0.0], [0.0, 0.0]], boundary=3.0)
    assert limit == pytest.approx(
        [3 / 149.99333, 1e3], rel=1e-5
    )  # lambda^2 + 150 lambda + 1 = 0; none at the left


def test_spectra_are_those_of_the_jacobian_at_the_accepted_steps():
    matrix = times(-1.0, 0.0, 2.0, -30.0).reshape(2, 2)
    solution = solve(lambda t, y: matrix @ y, times(1.0, 1.0), times(0.0, 1.0), record=True)
    eigenvalues, h = figures.spectra(lambda t, y: matrix @ y, solution)
    assert eigenvalues.shape == (solution.stats.accepted, 2) and h.sum() == pytest.approx(1)
    assert torch.allclose(eigenvalues.real.sort(dim=1).values, times(-30.0, -1.0))


def test_robertsons_problem_is_the_published_one():
    y = figures.robertson_exact(40.0)
    assert y.tolist() == pytest.approx(
        [0.7158, 9.1855e-6, 0.2842], rel=2e-4
    ) and y.sum() == pytest.approx(1, abs=1e-10)
    state = np.array([0.9, 3e-5, 0.1])
    jacobian = torch.func.jacrev(robertson, argnums=1)(0.0, torch.from_numpy(state)).numpy()
    assert np.allclose(figures.robertson_jacobian(0.0, state), jacobian)
    assert np.allclose(figures.robertson_numpy(0.0, state), robertson(0.0, torch.from_numpy(state)))


def test_the_comparison_lists_costs_and_errors_of_all_methods():
    rows = figures.robertson_costs(robertson, 1.0, 1e-5, 1e-9)
    assert [row[0] for row in rows] == [
        "trbdf2",
        "kvaerno3",
        "kvaerno5",
        "scipy's Radau",
        "scipy's BDF",
    ]
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
    exact = torch.from_numpy(regions.decay_exact(50.0, t.numpy())).unsqueeze(1)
    _, largest, late = figures.decay_figure(
        {"exact": (t, exact), "off": (t, exact + times(9, 0, 0, 0.5)[:, None])}, 50.0
    )
    assert largest == pytest.approx([float(exact.max()), 9.0]) and late == pytest.approx([0, 0.5])


def test_figures_are_readable():
    f, y0, exact = stiffness_crossover.van_der_pol(5.0), times(2.0, 0.0), van_der_pol_exact(5.0)
    runs = {
        f"tolerance {tol:.0e}": solve(f, y0, times(0, 10), rtol=tol, atol=tol, record=True)
        for tol in (1e-3, 1e-5)
    }
    reaction = solve(
        robertson, START, times(0, 0.3), rtol=1e-3, atol=1e-9, method="kvaerno5", record=True
    )
    t = torch.linspace(0, 1.5, 31, dtype=float64)
    phase, steps, time = figures.phase_figure(runs["tolerance 1e-03"], f, 0.5, 3.3)
    border, shares = figures.border_figure(f, runs, exact, 3.3, 5.0)
    assert 0 <= steps <= 1 and 0 <= time <= 1 and len(shares) == 2
    drawn = [
        figures.decay_figure(
            {"36 steps, h = 0.0417": (t, torch.cos(t)[:, None]), "trbdf2": (t, 0 * t[:, None])},
            50.0,
        )[0],
        border,
        figures.creep_figure(
            {"dopri5": runs["tolerance 1e-03"], "kvaerno5": runs["tolerance 1e-05"]}, exact
        ),
        phase,
        figures.reaction_figure(reaction),
        figures.plateau_figure(
            {"dopri5, rtol 1e-02: 209 steps": reaction, "kvaerno5, rtol 1e-02: 16 steps": reaction}
        ),
        figures.speed_figure([1, 16, 1024], {"dopri5": [20, 90, 3000], "kvaerno5": [40, 150, 200]}),
    ]
    for fig in drawn:
        fig.png()
        assert not text_problems(fig)
