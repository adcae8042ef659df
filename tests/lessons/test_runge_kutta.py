"""Facts that lesson 02's helpers rely on: order conditions, stability functions, the exact comet,
readable figures.
"""

import math

import numpy as np
import pytest
import torch

from node_tutorial import METHODS, Tableau, explore, solve
from node_tutorial.lessons.runge_kutta import figures
from node_tutorial.lessons.runge_kutta import tableau_workbench as workbench
from node_tutorial.lessons.runge_kutta.stability_point import STABILITY, stability_function
from node_tutorial.plotting import text_problems


@pytest.mark.parametrize("name", workbench.NAMES)
def test_the_workbench_finds_the_order_that_a_method_claims_and_measures_it(name):
    tableau = workbench.NAMES[name]
    weights = workbench._preset(name)
    data = explore.tableau_workbench().compute(name, *weights.values(), False, 0.5, "float64")
    assert data["order"] == tableau.order
    assert data["measured"] == pytest.approx(tableau.order, abs=0.15)


def test_choosing_a_method_loads_its_weights_and_disables_the_sliders_it_lacks():
    panel = explore.tableau_workbench()
    panel.controls["method"].value = "midpoint"
    assert [panel.controls[f"b{i}"].value for i in (1, 2, 3, 4)] == ["0", "1", "0", "0"]
    assert [panel.controls[f"b{i}"].disabled for i in (1, 2, 3, 4)] == [False, False, True, True]
    panel.controls["b2"].value = "1/2"
    panel.reset()
    assert panel.controls["b2"].value == "1" and panel.data["order"] == 2


def test_midpoint_is_classical_rk4_with_other_weights():
    panel = explore.tableau_workbench()
    data = panel.compute("classical RK4", "0", "1", "0", "0", False, 1.0, "float64")
    midpoint = panel.compute("midpoint", "0", "1", "0", "0", False, 1.0, "float64")
    assert data["end"] == midpoint["end"] and np.array_equal(data["errors"], midpoint["errors"])


def test_the_errors_of_the_workbench_are_those_of_the_package():
    errors = workbench._bell_errors("rk4_classic", METHODS["rk4_classic"].b, "float64")
    one = torch.ones(1, dtype=torch.float64)
    t = torch.tensor([0.0, 2.0], dtype=torch.float64)
    for n, error in zip(workbench.STEPS[:6], errors):
        end = solve(workbench.bell, one, t, method="rk4_classic", options={"step_size": 2 / n}).y[
            -1
        ]
        assert error == pytest.approx(abs(float(end) - 0.2), abs=1e-14)


@pytest.mark.parametrize(
    "name", ["Euler", "midpoint, Heun (order 2)", "Heun (order 3)", "RK4, both"]
)
def test_with_as_many_stages_as_its_order_a_stability_function_is_the_series_of_exp(name):
    tableau, z = STABILITY[name], np.array([0.3 - 0.4j, -2.5, 1j])
    series = sum(z**k / math.factorial(k) for k in range(tableau.order + 1))
    assert np.allclose(stability_function(tableau)(z), series, rtol=0, atol=1e-14)


def test_the_comet_solves_keplers_problem():
    orbit = figures.kepler_orbit(0.9, 8)

    def kepler(t, s):
        return torch.cat([s[2:], -s[:2] / s[:2].norm() ** 3])

    t = torch.linspace(0, 2 * math.pi, 9, dtype=torch.float64)
    solution = solve(kepler, orbit[0], t, method="dopri8", rtol=1e-12, atol=1e-12)
    assert torch.allclose(solution.y, orbit, rtol=0, atol=1e-8)


def test_the_mistyped_tableau_of_the_exercise_is_accepted_and_has_order_3():
    a = ((), (1 / 2,), (0, 1 / 2), (0, 1 / 2, 1 / 2))
    tableau = Tableau("mistyped", 4, c=(0, 1 / 2, 1 / 2, 1), a=a, b=METHODS["rk4_classic"].b)
    assert [
        ok
        for *_, ok in workbench._conditions(
            tableau, [workbench.Fraction(n, 6) for n in (1, 2, 2, 1)]
        )
    ] == [
        *[True] * 7,
        False,
    ]


def test_nothing_in_the_lessons_figures_is_covered_or_cut():
    hs = [2 * math.pi / 2**k for k in range(2, 8)]
    euler = STABILITY["Euler"]
    for fig in (
        figures.error_over_step(hs, {"euler": list(hs), "rk4_classic": [h**4 for h in hs]}),
        figures.one_step(
            workbench.bell, 0.0, 1.0, 1.0, METHODS["rk4_classic"], lambda t: 1 / (1 + t**2)
        ),
        figures.regions(
            {"order 1": stability_function(euler)}, (-1.5, -2.0, -2.5), stability_function(euler)
        ),
    ):
        fig.draw_without_rendering()
        assert not text_problems(fig)
