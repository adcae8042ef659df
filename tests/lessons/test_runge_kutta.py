"""Lesson 02: order conditions, measured orders, the exact comet, readable figures."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from node_tutorial import METHODS, Tableau, explore, solve
from node_tutorial.lessons.runge_kutta import figures, stability_point
from node_tutorial.lessons.runge_kutta import tableau_workbench as workbench
from node_tutorial.plotting import text_problems
from node_tutorial.solvers.stability import stability_function


@pytest.mark.parametrize("name", workbench.NAMES)
def test_the_workbench_finds_the_order_that_a_method_claims_and_measures_it(name):
    tableau = workbench.NAMES[name]
    weights = workbench.own_weights(name)
    data = workbench.compute(name, **weights, rescale=False, h=0.5, dtype="float64")
    assert data.order == tableau.order
    assert data.measured == pytest.approx(tableau.order, abs=0.15)


def test_choosing_a_method_loads_its_weights_and_disables_the_sliders_it_lacks():
    panel = explore.tableau_workbench()
    panel.controls["method"].value = "midpoint"
    assert [panel.controls[f"b{i}"].value for i in (1, 2, 3, 4)] == ["0", "1", "0", "0"]
    assert [panel.controls[f"b{i}"].disabled for i in (1, 2, 3, 4)] == [False, False, True, True]
    panel.controls["b2"].value = "1/2"
    panel.reset()
    assert panel.controls["b2"].value == "1" and panel.data.order == 2


def test_midpoint_is_classical_rk4_with_other_weights():
    weights = {"b1": "0", "b2": "1", "b3": "0", "b4": "0"}
    settings = {**weights, "rescale": False, "h": 1.0, "dtype": "float64"}
    rk4 = workbench.compute("classical RK4", **settings)
    midpoint = workbench.compute("midpoint", **settings)
    assert rk4.step.end == midpoint.step.end and np.array_equal(rk4.errors, midpoint.errors)


def test_the_errors_of_the_workbench_are_those_of_the_package():
    errors = workbench.bell_errors("classical RK4", METHODS["rk4_classic"].b, "float64")
    one = torch.ones(1, dtype=torch.float64)
    t = torch.tensor([0.0, 2.0], dtype=torch.float64)
    for n, error in zip(workbench.STEPS[:6], errors):
        options = {"step_size": 2 / n}
        end = solve(workbench.bell, one, t, method="rk4_classic", options=options).y[-1]
        assert error == pytest.approx(abs(float(end) - 0.2), abs=1e-14)


def test_a_point_outside_grows_where_the_exact_solution_decays():
    inside, outside = (stability_point.compute("RK4, both", re, 0.0) for re in (-2.7, -2.9))
    assert abs(inside.factor) < 1 < abs(outside.factor) and outside.exact[-1] < 1e-9
    assert "inside" in stability_point.describe(inside)
    assert "the computed y grows; the exact one decays" in stability_point.describe(outside)


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
    conditions = workbench.order_conditions(tableau, [Fraction(n, 6) for n in (1, 2, 2, 1)])
    assert [condition.holds for condition in conditions] == [*[True] * 7, False]


def test_nothing_in_the_lessons_figures_is_covered_or_cut():
    hs = [2 * math.pi / 2**k for k in range(2, 8)]
    classic = METHODS["rk4_classic"]
    R = stability_function(METHODS["euler"])
    for fig in (
        figures.error_over_step(hs, {"euler": list(hs), "rk4_classic": [h**4 for h in hs]}),
        figures.one_step(workbench.bell, 0.0, 1.0, 1.0, classic, lambda t: 1 / (1 + t**2)),
        figures.regions({"order 1": R}, (-1.5, -2.0, -2.5), R),
    ):
        fig.draw_without_rendering()
        assert not text_problems(fig)
