"""Stability functions are what one step does, and what is published about them."""

import math

import numpy as np
import pytest
import torch

from node_tutorial import METHODS, Tableau, odeint, solve
from node_tutorial.solvers.stability import (
    coefficients,
    real_boundary,
    stability_function,
    step_ends,
)

EXPLICIT = ["euler", "midpoint", "heun3", "rk4_classic", "rk4", "dopri5"]
IMPLICIT = ["implicit_euler", "trapezoid", "trbdf2", "kvaerno5", "radauIIA5"]


@pytest.mark.parametrize("z", [-1.5, 0.4 + 0.3j])
@pytest.mark.parametrize("name", EXPLICIT + IMPLICIT)
def test_R_is_what_one_step_makes_of_one(name, z):
    times_z = torch.tensor([[z.real, -z.imag], [z.imag, z.real]], dtype=torch.float64)
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    settings = {"rtol": 1e-12, "atol": 1e-12, "options": {"step_size": 1.0}}
    y1 = odeint(lambda t, y: times_z @ y, y0, t, method=name, **settings)[-1]
    assert stability_function(METHODS[name])(z) == pytest.approx(complex(*y1), abs=1e-9)


@pytest.mark.parametrize("name", ["euler", "midpoint", "heun3", "rk4_classic", "rk4"])
def test_with_as_many_stages_as_its_order_it_is_the_series_of_exp(name):
    tableau = METHODS[name]
    z = np.array([[0.3 - 0.4j, -2.5, 1j]])
    series = sum(z**k / math.factorial(k) for k in range(tableau.order + 1))
    R = stability_function(tableau)(z)
    assert R.shape == z.shape and np.allclose(R, series, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", IMPLICIT)
def test_implicit_methods_are_stable_in_the_left_half_plane(name):
    x, y = np.meshgrid(-np.logspace(-2, 4, 25), np.linspace(-40, 40, 41))
    assert (np.abs(stability_function(METHODS[name])(x + 1j * y)) <= 1 + 1e-9).all()


def test_boundaries_on_the_real_axis():
    found = [real_boundary(METHODS[name]) for name in ("euler", "rk4_classic", "dopri5")]
    assert found == pytest.approx([2.0, 2.785293563, 3.3066], abs=1e-4)


def test_the_coefficients_of_short_rows_are_filled_with_zeros():
    tableau = Tableau("pair", 2, c=(0, 1), a=((), (1,)), b=(1 / 2, 1 / 2))
    a, b, c = coefficients(tableau)
    assert a.tolist() == [[0, 0], [1, 0]] and b.tolist() == [0.5, 0.5] and c.tolist() == [0, 1]


def test_step_ends_are_those_of_the_accepted_steps():
    y0, t = torch.ones(1, dtype=torch.float64), torch.tensor([0.5, 6.0], dtype=torch.float64)
    solution = solve(lambda t, y: torch.cos(9 * t) * y, y0, t, rtol=1e-6, record=True)
    ends = step_ends(solution)
    assert solution.stats.rejected > 0 and len(ends) == solution.stats.accepted + 1
    assert ends[0] == 0.5 and ends[-1] == 6 and (ends.diff() > 0).all()


def test_step_ends_of_a_solve_that_was_not_recorded_are_refused():
    t = torch.tensor([0.0, 1.0])
    with pytest.raises(ValueError, match="record=True"):
        step_ends(solve(lambda t, y: -y, torch.ones(1), t))
