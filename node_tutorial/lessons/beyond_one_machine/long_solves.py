"""Lesson 21: parareal on long nonlinear solves: a cycle that forgives, and chaos that does not."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...data.systems import van_der_pol
from ...solvers.parareal import Propagator, parareal, parareal_speedup
from ...solvers.runge_kutta import Field, RungeKutta
from ...solvers.tableaus import RK4_CLASSIC

RK4 = RungeKutta(RK4_CLASSIC)
FINE = 20  # RK4 steps in a slab; the coarse solver takes one
FINER = 60  # the fine solver's own error is its distance from so many
FEWER = (2, 3, 4, 5, 6, 7, 8, 10, 12, 16)  # what one worker is tried with
ENOUGH = 0.01
MOST = 40  # iterations


def lorenz(t: Tensor, y: Tensor) -> Tensor:
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
    "van der Pol": Problem(van_der_pol, (2.0, 0.0), 2),
    "Lorenz": Problem(lorenz, (1.0, 1.0, 25.0), 10),
}
LENGTHS = {"van der Pol": (5, 10, 20, 40), "Lorenz": (2, 4, 8, 16)}


def runge_kutta(field: Field, steps: int) -> Propagator:
    """Some steps of RK4 from start to end, for parareal."""

    def propagate(y: Tensor, start: Tensor, end: Tensor) -> Tensor:
        h = ((end - start) / steps)[:, None]
        t = start[:, None]
        for _ in range(steps):
            y = RK4.step(field, t, y, h).y1
            t = t + h
        return y

    return propagate


class Found(NamedTuple):
    """Parareal beside one worker.

    Attributes:
        slabs: their number, and that of parareal's workers.
        errors: parareal's largest by iteration, against the fine solver alone.
        own: the fine solver's own error.
        steps: the fewest RK4 steps in a slab, of FEWER, with which one worker is within ENOUGH of
            the fine solver; FINE if there are none.
    """

    slabs: int
    errors: list[float]
    own: float
    steps: int

    def needed(self, error: float = ENOUGH) -> int:
        """The first iteration with less error. Raises ValueError if there is none."""
        small = [k for k, found in enumerate(self.errors) if found < error]
        if not small:
            raise ValueError(f"{len(self.errors) - 1} iterations do not reach an error of {error}")
        return small[0]

    def speedup(self, error: float = ENOUGH) -> float:
        """Over the fine solver alone, by the law, with a worker for each slab."""
        return parareal_speedup(self.slabs, self.needed(error), 1 / FINE)

    @property
    def alone(self) -> float:
        """Of one worker with `steps`, over the fine solver alone."""
        return FINE / self.steps


def measure(name: str, length: int) -> Found:
    """One of PROBLEMS up to a time `length`, with MOST iterations, or one for each slab."""
    field, start, per_unit = PROBLEMS[name]
    slabs = per_unit * length
    t = torch.linspace(0, length, slabs + 1, dtype=torch.float64)
    y0 = torch.tensor(start, dtype=torch.float64)
    fine = runge_kutta(field, FINE)
    found = parareal(runge_kutta(field, 1), fine, y0, t, min(slabs, MOST))

    def alone(steps: int) -> Tensor:
        solver = runge_kutta(field, steps)
        states = [y0[None]]
        for n in range(slabs):
            states.append(solver(states[n], t[n : n + 1], t[n + 1 : n + 2]))
        return torch.cat(states)

    usual = alone(FINE)
    errors = (found - usual).abs().amax((1, 2)).tolist()
    own = float((usual - alone(FINER)).abs().max())
    near = (steps for steps in FEWER if (alone(steps) - usual).abs().max() < ENOUGH)
    return Found(slabs, errors, own, next(near, FINE))


def measured() -> dict[str, list[Found]]:
    """Both problems at their LENGTHS."""
    return {name: [measure(name, length) for length in row] for name, row in LENGTHS.items()}


def report(long: Mapping[str, Sequence[Found]]) -> str:
    """Parareal and one worker, in lines to print."""
    lines = []
    for name, rows in long.items():
        lines += [
            f"{name}, up to {', '.join(map(str, LENGTHS[name]))}",
            f"  slabs, and workers:               {_row(row.slabs for row in rows)}",
            f"  iterations to 0.01:               {_row(row.needed() for row in rows)}",
            f"  times faster:                     {_row(row.speedup() for row in rows)}",
            f"  one worker, longer steps:         {_row(row.alone for row in rows)}",
            f"  fine solver's own error:          {_row(f'{row.own:.0e}' for row in rows)}",
            f"  parareal, times faster to it:     {_row(row.speedup(row.own) for row in rows)}",
        ]
    return "\n".join(lines)


def _row(values: Iterable[float | str]) -> str:
    return "".join(f"{x:8.2f}" if isinstance(x, float) else f"{x:>8}" for x in values)
