"""Heat and Burgers against values that were computed elsewhere, and against their equations.

The reference values are from mpmath (Cole and Hopf's integral by adaptive quadrature, 30 digits).
"""

import math

import pytest
import torch

from node_tutorial import odeint
from node_tutorial.data import burgers_exact, burgers_field, heat_by_steps, heat_exact, heat_field

f64 = torch.float64
PLACES = torch.tensor([0.05, 0.25, 0.5, 0.75], dtype=f64)
THIN = 0.01 / math.pi
WIDE = 0.1 / math.pi


# -- heat ------------------------------------------------------------------------------------------


def test_heat_has_the_known_values():
    x = torch.tensor([0.5, 0.25], dtype=f64)
    found = heat_exact(x, 0.1)
    assert found.tolist() == pytest.approx([0.372707838886, 0.263544240], abs=1e-9)
    assert found[0] == pytest.approx(math.exp(-(math.pi**2) / 10), abs=1e-14)


def test_heat_solves_its_equation_and_keeps_its_values_at_the_ends():
    x = torch.linspace(0, 1, 9, dtype=f64).requires_grad_()
    t = torch.full_like(x, 0.07).requires_grad_()
    u = heat_exact(x, t)
    u_t, u_x = torch.autograd.grad(u.sum(), (t, x), create_graph=True)
    (u_xx,) = torch.autograd.grad(u_x.sum(), x)
    assert torch.allclose(u_t, u_xx, atol=1e-12)
    assert torch.allclose(u[[0, -1]], torch.zeros(2, dtype=f64), atol=1e-15)
    assert torch.equal(heat_exact(x, 0.0), torch.sin(math.pi * x))


@pytest.mark.parametrize(
    ("n", "steps", "error"), [(10, 20, 6.1635e-3), (20, 80, 1.51964e-3), (40, 320, 3.78609e-4)]
)
def test_steps_have_the_known_errors(n, steps, error):
    found = heat_by_steps(n)
    assert found.steps == steps
    assert (found.u - heat_exact(found.x, 0.1)).abs().max() == pytest.approx(error, rel=1e-4)


def test_steps_multiply_the_sine_by_the_factor_of_the_formula():
    for n, ratio in ((10, 0.5), (20, 0.25), (16, 0.4)):
        steps = round(0.1 * n**2 / ratio)
        found = heat_by_steps(n, steps * ratio / n**2, ratio)
        factor = 1 - 4 * ratio * math.sin(math.pi / (2 * n)) ** 2
        assert torch.allclose(found.u, factor**steps * torch.sin(math.pi * found.x), atol=1e-13)


def test_a_sixth_cancels_the_leading_error():
    """dt = dx^2 / 6: the errors in time and space have opposite signs, and order 4 is left."""
    errors = []
    for n in (10, 20):
        found = heat_by_steps(n, ratio=1 / 6)
        errors.append(float((found.u - heat_exact(found.x, 0.1)).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.02)


def test_above_a_half_the_sawtooth_grows():
    sawtooth = torch.tensor([(-1.0) ** i for i in range(1, 20)], dtype=f64) * torch.sin(
        math.pi * torch.arange(1, 20, dtype=f64) / 20
    )
    for ratio, factor in ((0.5, -0.98769), (0.51, -1.02744)):
        stepped = sawtooth + ratio / 400 * heat_field(20)(0.0, sawtooth)
        assert torch.allclose(stepped, factor * sawtooth, atol=1e-5)


@pytest.mark.parametrize(("n", "least"), [(10, -390.2), (20, -1590.2), (40, -6390.1)])
def test_the_lines_are_stiff(n, least):
    matrix = heat_field(n)(0.0, torch.eye(n - 1, dtype=f64))
    assert float(torch.linalg.eigvalsh(matrix)[0]) == pytest.approx(least, abs=0.06)


def test_the_lines_tend_to_the_solution_with_order_2():
    errors = []
    for n in (10, 20, 40):
        x = torch.linspace(0, 1, n + 1, dtype=f64)[1:-1]
        u = odeint(
            heat_field(n),
            torch.sin(math.pi * x),
            torch.tensor([0.0, 0.1], dtype=f64),
            rtol=1e-9,
            atol=1e-11,
        )[-1]
        errors.append(float((u - heat_exact(x, 0.1)).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.02)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.02)


# -- Burgers ---------------------------------------------------------------------------------------

BURGERS = {
    0.25: (-0.5315978595, -0.9920815616, -0.8031984208, -0.4305162642),
    0.5: (-0.9789821784, -0.8473545247, -0.5927695344, -0.3028427083),
    1.0: (-0.7000270809, -0.5591962931, -0.3761813957, -0.1889980953),
}


@pytest.mark.parametrize("t", BURGERS)
def test_burgers_has_the_known_values(t):
    assert burgers_exact(PLACES, t, THIN).tolist() == pytest.approx(BURGERS[t], abs=2e-9)


def test_burgers_with_more_viscosity_has_the_known_values():
    found = burgers_exact(PLACES, 0.5, WIDE).tolist()
    known = (-0.5093758547, -0.7991109980, -0.5742277302, -0.2953197962)
    assert found == pytest.approx(known, abs=1e-9)


def slope_at_0(t, nu):
    x = torch.zeros(1, dtype=f64, requires_grad=True)
    (slope,) = torch.autograd.grad(burgers_exact(x, t, nu).sum(), x)
    return float(slope)


def test_the_steepest_slope_is_that_of_the_literature():
    assert slope_at_0(1.6036865 / math.pi, THIN) == pytest.approx(-152.0051616, abs=1e-5)
    for other in (1.59, 1.62):
        assert slope_at_0(other / math.pi, THIN) > -152.0051616
    assert slope_at_0(0.5, WIDE) == pytest.approx(-11.6842482, abs=1e-6)


@pytest.mark.parametrize("nu", [WIDE, THIN, 1.0])
def test_burgers_solves_its_equation(nu):
    x = torch.tensor([-0.7, -0.2, 0.3, 0.6], dtype=f64, requires_grad=True)
    t = torch.tensor([0.1, 0.3, 0.6, 0.9], dtype=f64, requires_grad=True)
    u = burgers_exact(x, t, nu)
    u_t, u_x = torch.autograd.grad(u.sum(), (t, x), create_graph=True)
    (u_xx,) = torch.autograd.grad(u_x.sum(), x)
    assert torch.allclose(u_t + u * u_x, nu * u_xx, atol=1e-6)


def test_burgers_starts_as_a_sine_is_odd_and_zero_at_the_ends():
    x = torch.linspace(-1, 1, 21, dtype=f64)
    assert torch.allclose(burgers_exact(x, 0.0, THIN), -torch.sin(math.pi * x), atol=1e-12)
    u = burgers_exact(x, 0.6, THIN)
    assert torch.allclose(u, -u.flip(0), atol=1e-12)
    assert burgers_exact(x.float(), 0.6, THIN).dtype == f64
    assert float(u[0].abs()) < 1e-12 and float(u[10].abs()) < 1e-12
    assert burgers_exact(x[:, None], torch.tensor([0.1, 0.2]), THIN).shape == (21, 2)


def test_the_lines_of_burgers_tend_to_the_solution_with_order_2_and_keep_the_mass():
    errors = []
    for n in (50, 100):
        x = torch.linspace(-1, 1, n + 1, dtype=f64)[1:-1]
        t = torch.tensor([0.0, 0.5], dtype=f64)
        field = burgers_field(n, WIDE)
        u = odeint(field, -torch.sin(math.pi * x), t, rtol=1e-8, atol=1e-10)[-1]
        errors.append(float((u - burgers_exact(x, 0.5, WIDE)).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    inside = torch.zeros(49, dtype=f64)
    inside[20:25] = torch.tensor([1.0, 3.0, 2.0, 0.5, 1.0], dtype=f64)
    assert float(burgers_field(50, WIDE)(0.0, inside).sum().abs()) < 1e-12


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("nu", [0.0, -1.0, math.inf, math.nan])
def test_viscosity_that_is_not_positive_is_refused(nu):
    with pytest.raises(ValueError, match="nu must be a positive number"):
        burgers_exact(PLACES, 0.5, nu)
    with pytest.raises(ValueError, match="nu must be a positive number"):
        burgers_field(10, nu)


def test_times_before_the_start_are_refused():
    with pytest.raises(ValueError, match=r"t must be 0 or later, got -0\.5"):
        burgers_exact(PLACES, -0.5, THIN)


@pytest.mark.parametrize("n", [1, 0, -3, 2.5, True])
def test_grids_without_inner_points_are_refused(n):
    for make in (heat_field, heat_by_steps, lambda n: burgers_field(n, 1.0)):
        with pytest.raises(ValueError, match="n must be an integer of 2 or more"):
            make(n)


def test_an_end_between_two_steps_is_refused_with_one_that_fits():
    with pytest.raises(ValueError, match=r"whole number of one or more, as 0\.10125 is"):
        heat_by_steps(20, end=0.1011)
    with pytest.raises(ValueError, match="ratio must be positive"):
        heat_by_steps(20, ratio=0.0)
