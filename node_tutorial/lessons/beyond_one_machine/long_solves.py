"""Lesson 21: parareal on long nonlinear solves: a cycle that forgives, and chaos that does not."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ...data.systems import van_der_pol
from ...solvers.parareal import Propagator, parareal, parareal_speedup

Field = Callable[[Tensor], Tensor]
FINE = 20  # RK4 steps in a slab; the coarse solver takes one
ENOUGH = 0.01


def lorenz(y: Tensor) -> Tensor:
    """Lorenz's field (..., 3), at his parameters.

    Source: Lorenz 1963, "Deterministic nonperiodic flow".
    """
    a, b, c = y.unbind(-1)
    return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], dim=-1)


class Problem(NamedTuple):
    """A field, its start, and slabs in a unit of time."""

    field: Field
    start: tuple[float, ...]
    per_unit: int


PROBLEMS = {
    "van der Pol": Problem(lambda y: van_der_pol(0.0, y), (2.0, 0.0), 2),
    "Lorenz": Problem(lorenz, (1.0, 1.0, 25.0), 10),
}


def runge_kutta(field: Field, steps: int) -> Propagator:
    """Some steps of RK4 from start to end, for parareal."""

    def propagate(y: Tensor, start: Tensor, end: Tensor) -> Tensor:
        h = ((end - start) / steps)[:, None]
        for _ in range(steps):
            k1 = field(y)
            k2 = field(y + h / 2 * k1)
            k3 = field(y + h / 2 * k2)
            k4 = field(y + h * k3)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return y

    return propagate


class Found(NamedTuple):
    """Largest errors by iteration, against the fine solver alone; the first iteration with an error
    below ENOUGH; the speed-up with a worker for each slab.
    """

    slabs: int
    errors: list[float]
    needed: int
    speedup: float


def measure(name: str, length: int, most: int = 40) -> Found:
    """One of PROBLEMS up to a time `length`, with at most so many iterations.

    Raises ValueError if they are not enough.
    """
    field, start, per_unit = PROBLEMS[name]
    slabs = per_unit * length
    t = torch.linspace(0, length, slabs + 1, dtype=torch.float64)
    y0 = torch.tensor(start, dtype=torch.float64)
    fine = runge_kutta(field, FINE)
    found = parareal(runge_kutta(field, 1), fine, y0, t, min(slabs, most))
    alone = [y0[None]]
    for n in range(slabs):
        alone.append(fine(alone[n], t[n : n + 1], t[n + 1 : n + 2]))
    errors = (found - torch.cat(alone)).abs().amax((1, 2)).tolist()
    small = [k for k, error in enumerate(errors) if error < ENOUGH]
    if not small:
        raise ValueError(f"{most} iterations are not enough for {name} up to {length}")
    return Found(slabs, errors, small[0], parareal_speedup(slabs, small[0], 1 / FINE))
