"""Two partial differential equations on a line, with exact solutions and finite differences.

The heat equation on 0 <= x <= 1, and Burgers' equation on -1 <= x <= 1, both zero at the ends:

    u_t = u_xx,              u(x, 0) = sin(pi x),     u(x, t) = exp(-pi^2 t) sin(pi x)
    u_t + u u_x = nu u_xx,   u(x, 0) = -sin(pi x)

By the transform of Cole and Hopf, u = -2 nu phi_x / phi, Burgers' equation is the heat equation of
phi, whose solution is an integral against a Gaussian.

On a grid of n intervals, either equation is an ordinary one for the n - 1 inner values (the method
of lines), which any solver can take. Its matrix has eigenvalues down to -4 / dx^2: it is stiff, and
explicit Euler needs dt <= dx^2 / 2.

Sources: Cole 1951, "On a quasi-linear parabolic equation occurring in aerodynamics"; Hopf 1950,
"The partial differential equation u_t + u u_x = mu u_xx"; the problem is that of Raissi,
Perdikaris, Karniadakis 2019, "Physics-informed neural networks".
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

NODES = 200  # of Gauss-Hermite quadrature: with 100, nu = 0.01/pi at t = 1 is off by some 1e-8


class Stepped(NamedTuple):
    """What finite differences found: the grid x (n + 1,), u (n + 1,) at the end, and the steps."""

    x: Tensor
    u: Tensor
    steps: int


def heat_exact(x: Tensor, t: Tensor | float) -> Tensor:
    """exp(-pi^2 t) sin(pi x), for x and t that broadcast.

    >>> heat_exact(torch.tensor(0.5, dtype=torch.float64), 0.1)
    tensor(0.3727, dtype=torch.float64)
    """
    return torch.exp(-(math.pi**2) * torch.as_tensor(t, dtype=x.dtype)) * torch.sin(math.pi * x)


def burgers_exact(x: Tensor, t: Tensor | float, nu: float) -> Tensor:
    """u(x, t) for viscosity nu, by Cole and Hopf, for x and t that broadcast; float64.

        u = -<sin(pi (x - z)) w> / <w>,   w = exp(-cos(pi (x - z)) / (2 pi nu)),   z ~ N(0, 2 nu t)

    Raises:
        ValueError: unless nu > 0 and every t >= 0.

        >>> burgers_exact(torch.tensor(0.25), 0.5, 0.01 / math.pi)
        tensor(-0.8474, dtype=torch.float64)
    """
    _check_viscosity(nu)
    place, time = torch.broadcast_tensors(
        torch.as_tensor(x, dtype=torch.float64), torch.as_tensor(t, dtype=torch.float64)
    )
    if not (time >= 0).all():
        raise ValueError(f"t must be 0 or later, got {float(time.min()):g}")
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite.hermgauss(NODES))
    phase = math.pi * (place[..., None] - torch.sqrt(4 * nu * time)[..., None] * nodes)
    log_weight = -torch.cos(phase) / (2 * math.pi * nu) + weights.log()
    return -(torch.softmax(log_weight, -1) * torch.sin(phase)).sum(-1)


def heat_field(n: int) -> Callable[[Tensor | float, Tensor], Tensor]:
    """f(t, u) of the heat equation on the inner points of n intervals, u (..., n - 1).

    u_i' = (u_(i-1) - 2 u_i + u_(i+1)) / dx^2, with 0 at both ends; second order in dx.
    """
    _check_intervals(n)
    return lambda t, u: _second(u, 1 / n)


def burgers_field(n: int, nu: float) -> Callable[[Tensor | float, Tensor], Tensor]:
    """f(t, u) of Burgers' equation on the inner points of n intervals of [-1, 1], u (..., n - 1).

    The flux u^2 / 2 is differenced, so that nothing is lost or gained inside: second order in dx.
    """
    _check_intervals(n)
    _check_viscosity(nu)
    dx = 2 / n

    def field(t: Tensor | float, u: Tensor) -> Tensor:
        flux = _between_walls(u).square() / 2
        return nu * _second(u, dx) - (flux[..., 2:] - flux[..., :-2]) / (2 * dx)

    return field


def heat_by_steps(n: int, end: float = 0.1, ratio: float = 0.5) -> Stepped:
    """The heat equation by explicit Euler with dt = ratio dx^2 (FTCS), from sin(pi x), to `end`.

    Its error is of order dx^2. The sawtooth, its roughest pattern, is multiplied in each step by
    1 - 4 ratio sin^2(pi (n - 1) / (2 n)): above 1/2 it grows in the end.

    Raises:
        ValueError: unless n >= 2, ratio > 0, and `end` is a whole number of steps.

        >>> heat_by_steps(20).steps
        80
    """
    _check_intervals(n)
    if not ratio > 0:
        raise ValueError(f"ratio must be positive, dt / dx^2, got {ratio}")
    dt = ratio / n**2
    steps = round(end / dt)
    if steps < 1 or not math.isclose(steps * dt, end, rel_tol=1e-9):
        raise ValueError(
            f"end = {end} is {end / dt:.4g} steps of dt = ratio / n^2 = {dt:.4g}; it must be a "
            f"whole number of one or more, as {max(1, steps) * dt:.6g} is"
        )
    x = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    u = torch.sin(math.pi * x)[1:-1]
    field = heat_field(n)
    for _ in range(steps):
        u = u + dt * field(0.0, u)
    return Stepped(x, _between_walls(u), steps)


def _second(u: Tensor, dx: float) -> Tensor:
    wide = _between_walls(u)
    return (wide[..., 2:] - 2 * u + wide[..., :-2]) / dx**2


def _between_walls(u: Tensor) -> Tensor:
    return torch.nn.functional.pad(u, (1, 1))


def _check_intervals(n: int) -> None:
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise ValueError(f"n must be an integer of 2 or more, the intervals of the grid, got {n!r}")


def _check_viscosity(nu: float) -> None:
    if not 0 < nu < math.inf:
        raise ValueError(
            f"nu must be a positive number, such as 0.1 / pi, got {nu}; without viscosity a "
            "shock forms, and no smooth solution exists"
        )
