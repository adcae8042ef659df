"""Lesson 02: order conditions, measured orders, the exact comet, readable figures."""

import json
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from node_tutorial import METHODS, Tableau, exercises, explore, odeint, solve
from node_tutorial.data.systems import oscillator, pendulum, van_der_pol
from node_tutorial.lessons.runge_kutta import figures, stability_point
from node_tutorial.lessons.runge_kutta import tableau_workbench as workbench
from node_tutorial.plotting import fitted_slope
from node_tutorial.solvers.runge_kutta import RungeKutta
from node_tutorial.solvers.stability import stability_function

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


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


def test_the_steps_come_one_by_one():
    whole = stability_point.compute("RK4, both", -0.5, 2.5)
    some = stability_point.compute("RK4, both", -0.5, 2.5, steps=7)
    assert len(whole.y) == 21 and len(whole.exact) == 201
    assert np.array_equal(some.y, whole.y[:8]) and np.array_equal(some.exact, whole.exact[:71])


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


def test_each_condition_has_the_tree_of_its_order():
    """The formula of a tree: the product over all dots of the size of the tree above it."""
    conditions = workbench.order_conditions(METHODS["rk4_classic"], [Fraction(1)] * 4)
    for condition, tree in zip(conditions, workbench.TREES, strict=True):
        assert len(tree) == condition.order
        sizes = [1] * len(tree)
        for dot in range(len(tree) - 1, 0, -1):
            sizes[tree[dot][1]] += sizes[dot]
        assert condition.text.endswith(f"1/{math.prod(sizes)}") or condition.order == 1


def test_the_orders_measured_on_the_pendulum_are_those_of_the_syllabus():
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, 5.0], dtype=torch.float64)
    exact = solve(pendulum, y0, t, method="dopri8", rtol=1e-13, atol=1e-13).y[-1]
    hs = [5 / n for n in (64, 128, 256, 512)]
    for method, order in (
        ("euler", 1.03),
        ("midpoint", 1.99),
        ("heun2", 1.99),
        ("rk4_classic", 3.99),
    ):
        ends = [solve(pendulum, y0, t, method=method, options={"step_size": h}).y[-1] for h in hs]
        slope = fitted_slope(hs, [float((end - exact).norm()) for end in ends])
        assert slope == pytest.approx(order, abs=0.006)


def test_the_jacobian_along_a_path_has_the_eigenvalues_of_the_field():
    z = figures.step_eigenvalues(oscillator, torch.ones(3, 2, dtype=torch.float64), 0.5)
    assert z.shape == (3, 2) and np.allclose(np.sort(z.imag, axis=1), [-0.5, 0.5])


def test_no_region_of_stability_foretells_the_explosion_of_dopri5():
    """The claim of the lesson: h lambda is stable at the very state from which it is thrown out."""
    dopri5 = METHODS["dopri5"]
    h = 6.663286859323130 / 10
    y = [torch.tensor([2.008619860874843, 0.0], dtype=torch.float64)]
    for _ in range(10):
        y.append(RungeKutta(dopri5).step(van_der_pol, 0.0, y[-1], h).y1)
    assert y[8].norm() < 2.83 and y[9].norm() > 80 and y[10].norm() > 1e40
    z = figures.step_eigenvalues(van_der_pol, torch.stack(y[8:9]), h)
    assert abs(stability_function(dopri5)(z)).max() < 0.5
    J = torch.autograd.functional.jacobian(lambda y: van_der_pol(0.0, y), y[8])

    def linear(t, at):
        return van_der_pol(0.0, y[8]) + J @ (at - y[8])

    assert RungeKutta(dopri5).step(linear, 0.0, y[8], h).y1.norm() == pytest.approx(2.2, abs=0.05)
    points = workbench.stages(van_der_pol, 0.0, y[8], h, dopri5).points
    assert [round(float(at.norm())) for _, at in points[3:]] == [4, 13, 49, 87]


def test_the_cost_of_an_error_lies_on_the_line_between_two_measurements():
    assert figures.cost_of(1e-3, [10, 100, 1000], [1e-2, 1e-4, 1e-6]) == pytest.approx(10**1.5)
    assert figures.cost_of(1e-4, [10, 100], [1e-2, 1e-4]) == pytest.approx(100)
    with pytest.raises(ValueError, match="do not fall through"):
        figures.cost_of(1e-9, [10, 100], [1e-2, 1e-4])


# -- exercises: right answers in other forms, and wrong ones ---------------------------------------


def answered(id, answer):
    return exercises.find(id).assess(answer)


def in_float32(f, t, y, h, a, b, c):
    y = torch.as_tensor(y, dtype=torch.float32)
    return exercises.find("02.1").solution(f, t, y, h, a, b, c)


def with_numpy(f, t, y, h, a, b, c):
    k = np.zeros(len(b))
    for i, row in enumerate(a):
        k[i] = f(t + c[i] * h, float(y) + h * np.dot(row, k[: len(row)]))
    return y + h * np.dot(b, k)


def with_loops(f, t, y, h, a, b, c):
    k = []
    for i in range(len(b)):
        at = y
        for j in range(i):
            at = at + h * a[i][j] * k[j]
        k.append(f(t + h * c[i], at))
    for weight, slope in zip(b, k):
        y = y + h * weight * slope
    return y


def into_the_state(f, t, y, h, a, b, c):
    """Right for numbers; a tensor `y` is changed on the way."""
    k = []
    for row, c_i in zip(a, c):
        y_i = y
        for weight, slope in zip(row, k):
            y_i += h * weight * slope
        k.append(f(t + c_i * h, y_i))
    for weight, slope in zip(b, k):
        y += h * weight * slope
    return y


Y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
T5 = torch.tensor([0.0, 5.0], dtype=torch.float64)
RALSTON = Tableau("ralston", 2, c=(0, 2 / 3), a=((), (2 / 3,)), b=(1 / 4, 3 / 4))


def exact_end():
    return solve(pendulum, Y0, T5, method="dopri8", rtol=1e-12, atol=1e-12).y[-1]


def gain_by_hand(n):
    h = 5 / n
    ends = []
    for c2 in (1 / 2, 2 / 3):
        y = Y0.clone()
        for _ in range(n):
            k1 = pendulum(0, y)
            y = y + h * ((1 - 1 / (2 * c2)) * k1 + pendulum(0, y + c2 * h * k1) / (2 * c2))
        ends.append(float((y - exact_end()).norm()))
    return ends[0] / ends[1]


def gain_by_the_package(n):
    def error(method):
        y = Y0
        for _ in range(n):
            y = RungeKutta(method).step(pendulum, 0.0, y, 5 / n).y1
        return (y - exact_end()).norm()

    return error(METHODS["midpoint"]) / error(RALSTON)


def error_in(dtype, reference=torch.float64, method="rk4_classic"):
    def float32_error(n):
        options = {"step_size": 5 / n}
        y = odeint(pendulum, Y0.to(dtype), T5.to(dtype), method=method, options=options)[-1]
        return float((y.to(reference) - exact_end().to(reference)).norm())

    return float32_error


RIGHT = {
    "02.1": [in_float32, with_numpy, with_loops],
    "02.2": [gain_by_hand, gain_by_the_package, lambda n: np.float32(gain_by_hand(n))],
    "02.3": ["b.AAc", " b.aac ", "B.AAC"],
    "02.4": [
        error_in(torch.float32),
        lambda n: torch.tensor(error_in(torch.float32)(n)),
        lambda n: np.float64(error_in(torch.float32)(n)),
    ],
}
WRONG = {
    "02.1": [into_the_state, lambda f, t, y, h, a, b, c: y + h * f(t, y), lambda *_: 0.0],
    "02.2": [
        lambda n: 1 / gain_by_hand(n),
        lambda n: gain_by_hand(2 * n),
        lambda n: 1.0,
        lambda n: 4.0,
        lambda n: 1.1,
    ],
    "02.3": ["b.1", "b.c", "b.Ac^2"],
    "02.4": [
        error_in(torch.float64),
        error_in(torch.float32, method="midpoint"),
        error_in(torch.float32, method="rk4"),
        lambda n: 2e-7,
        lambda n: 1e-9,
        lambda n: math.nan,
    ],
}


@pytest.mark.parametrize("id", RIGHT)
def test_an_exercise_accepts_right_answers_in_every_form(id):
    for i, answer in enumerate(RIGHT[id]):
        assert answered(id, answer).state == "correct", f"{i}: {answered(id, answer)}"


@pytest.mark.parametrize("id", WRONG)
def test_an_exercise_refuses_wrong_answers(id):
    for i, answer in enumerate(WRONG[id]):
        assert answered(id, answer).state == "not yet", f"{i}: {answered(id, answer)}"


def test_the_other_method_of_order_4_is_named():
    assert "3/8 rule" in answered("02.4", error_in(torch.float32, method="rk4")).message


def test_a_step_that_writes_into_a_tensor_is_told_so():
    assert "writes into the tensor" in answered("02.1", into_the_state).message


def test_hints_propose_no_names_that_the_lesson_uses():
    """Whoever writes `errors = []` after a hint must not break a later cell."""
    notebook = json.loads((NOTEBOOKS / "02_runge_kutta.ipynb").read_text("utf-8"))
    code = "\n".join("".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code")
    assigned = set(re.findall(r"^(\w+) = ", code, re.MULTILINE))
    for id in RIGHT:
        proposed = re.findall(r"`(\w+)`", " ".join(exercises.find(id).hints))
        assert not assigned & set(proposed) - {"y", "k", "pendulum_end"}, (
            id
        )  # the last one is given


def test_what_the_meaning_of_02_2_says():
    start = torch.ones(1, dtype=torch.float64)
    on_the_bell = {}
    for method in (METHODS["midpoint"], RALSTON):
        y = start
        for i in range(64):
            y = RungeKutta(method).step(workbench.bell, 2 * i / 64, y, 2 / 64).y1
        on_the_bell[method.name] = abs(float(y) - 0.2)
    assert on_the_bell["midpoint"] < 0.8 * on_the_bell["ralston"]

    def error(method, n):
        y = Y0
        for _ in range(n):
            y = RungeKutta(METHODS[method]).step(pendulum, 0.0, y, 5 / n).y1
        return float((y - exact_end()).norm())

    assert 1.02 < gain_by_hand(64) < 1.06 and 1.02 < gain_by_hand(256) < 1.06
    assert error("midpoint", 64) / error("heun3", 64) == pytest.approx(50, rel=0.1)
    assert error("midpoint", 128) / error("heun3", 128) > 90
