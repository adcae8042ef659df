"""scipy's solvers behind our signature."""

import math

import pytest
import torch

from node_tutorial import odeint, solve

SCIPY = ["RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA"]
f64 = {"dtype": torch.float64}
START = torch.tensor([2.0, 0.0], **f64)


@pytest.mark.parametrize("ends", [(0.0, 2.0), (2.0, 0.0)], ids=["forward", "backward"])
@pytest.mark.parametrize("solver", SCIPY)
def test_every_solver_of_scipy_is_available(solver, ends, counted):
    t = torch.linspace(*ends, 5, **f64)
    y0 = START.reshape(1, 2)
    field = counted(lambda t, y: torch.stack([y[:, 1], -torch.sin(y[:, 0])], dim=1))
    options = {"solver": solver, "max_step": 0.5}
    solution = solve(field, y0, t, method="scipy_solver", options=options, rtol=1e-6, atol=1e-7)
    reference = odeint(field.field, y0, t)
    assert solution.stats.nfe == field.calls and solution.y.shape == (5, 1, 2)
    torch.testing.assert_close(solution.y, reference, rtol=0, atol=1e-3)


def test_scipy_takes_tolerances_per_entry_and_per_part():
    t = torch.tensor([0.0, 1.0], **f64)
    y = odeint(
        lambda t, y: -y,
        torch.ones(2, 3, **f64),
        t,
        method="scipy_solver",
        atol=torch.full((2, 3), 1e-8),
    )
    torch.testing.assert_close(y[-1], torch.full((2, 3), math.exp(-1), **f64), rtol=1e-5, atol=0)
    parts = (torch.ones(2, **f64), torch.ones(1, **f64))
    for method in ("scipy_solver", "implicit_adams", "dopri5"):
        options = {"step_size": 0.05} if method == "implicit_adams" else {}
        a, b = odeint(
            lambda t, y: (-y[0], -y[1]),
            parts,
            t,
            method=method,
            rtol=(1e-7, 1e-8),
            atol=(1e-7, 1e-8),
            options=options,
        )
        torch.testing.assert_close(
            torch.cat([a[-1], b[-1]]), torch.full((3,), math.exp(-1), **f64), rtol=1e-5, atol=0
        )


def test_scipy_solves_complex_states_where_it_can():
    z = torch.tensor([1.0 + 0j], dtype=torch.complex128)
    t = torch.tensor([0.0, math.pi], **f64)
    for solver in ("RK45", "RK23", "DOP853", "BDF"):
        y = odeint(
            lambda t, y: 1j * y,
            z,
            t,
            method="scipy_solver",
            options={"solver": solver},
            rtol=1e-6,
            atol=1e-7,
        )
        torch.testing.assert_close(y[-1], -z, rtol=0, atol=1e-3)
