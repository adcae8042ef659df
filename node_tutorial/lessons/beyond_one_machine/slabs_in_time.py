"""Lesson 21: parareal on dx/dt = lambda x, from decay to oscillation, by iterations."""

import math
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import int_slider, play, slider
from ...course.explorables import explorable
from ...plotting import BLUE, GRAY, VERMILLION, exact_line
from ...solvers.parareal import parareal, parareal_speedup

ITERATIONS = 12
ENOUGH = 0.01  # an error that ends the iterations


class Sweeps(NamedTuple):
    """All iterations.

    Attributes:
        angle: of lambda, in degrees: 0 for -1, 90 for i.
        t: (N + 1,), the slabs' ends.
        x: (iterations + 1, N + 1), complex.
        errors: (iterations + 1,), the largest of all ends.
        shown: the iteration that is drawn.
        needed: the first iteration with an error below ENOUGH, None if there is none.
    """

    angle: float
    t: Tensor
    x: Tensor
    errors: list[float]
    shown: int
    needed: int | None


def rate(angle: float) -> complex:
    """lambda of size 1: -1 for angle 0, i for 90 degrees."""
    turn = math.radians(angle)
    return complex(-math.cos(turn), math.sin(turn))


def compute(angle: float, length: float, slabs: int, frame: int) -> Sweeps:
    factor = rate(angle)
    t = torch.linspace(0, length, slabs + 1, dtype=torch.float64)
    x = parareal(
        lambda x, start, end: x * (1 + factor * (end - start)),
        lambda x, start, end: x * torch.exp(factor * (end - start)),
        torch.tensor(1.0, dtype=torch.complex128),
        t,
        ITERATIONS,
    )
    errors = (x - torch.exp(factor * t)).abs().amax(1).tolist()
    small = [k for k, error in enumerate(errors) if error < ENOUGH]
    return Sweeps(angle, t, x, errors, frame, small[0] if small else None)


def draw(fig: Figure, data: Sweeps) -> None:
    """The real part, and the largest error of every iteration."""
    left, right = fig.subplots(1, 2, width_ratios=[6, 4])
    fine = torch.linspace(0, float(data.t[-1]), 300, dtype=torch.float64)
    exact_line(fine, torch.exp(rate(data.angle) * fine).real, ax=left, label=None)
    done = min(data.shown, len(data.t) - 1) + 1
    if data.shown:
        left.plot(data.t, data.x[data.shown - 1].real, ".-", color=GRAY, linewidth=0.8)
    left.plot(data.t, data.x[data.shown].real, "o-", color=BLUE)
    left.plot(data.t[:done], data.x[data.shown].real[:done], "o", color=VERMILLION)
    left.set(xlim=(0, float(data.t[-1])), ylim=(-2.2, 2.2), xlabel="t", ylabel="real part of x")
    left.set_title(f"iteration {data.shown}: largest error {data.errors[data.shown]:.1e}")
    k = np.arange(len(data.errors))
    right.semilogy(k, np.maximum(data.errors, 1e-17), ".-", color=GRAY)
    right.semilogy(data.shown, max(data.errors[data.shown], 1e-17), "o", color=BLUE, markersize=8)
    right.axhline(ENOUGH, color=VERMILLION, linewidth=1, linestyle=(0, (5, 3)))
    right.set(ylim=(1e-17, 1e8), xlabel="iteration", ylabel="largest error")
    right.set_xticks(range(0, ITERATIONS + 1, 3))
    right.set_title(f"angle {data.angle:.0f} degrees")
    right.minorticks_off()


def describe(data: Sweeps) -> str:
    """The error now, and when it is small enough."""
    slabs = len(data.t) - 1
    done = min(data.shown, slabs)
    exact = f"slab{'s' * (done != 1)} exact (red), largest error {data.errors[data.shown]:.1e}"
    start = f"Angle {data.angle:.0f}, {slabs} slabs, iteration {data.shown}: {done} {exact}"
    if data.needed is None:
        return f"{start}. It is not below {ENOUGH} in {ITERATIONS} iterations."
    if data.needed == 0:
        return f"{start}. It is below {ENOUGH} from the start."
    bound = parareal_speedup(slabs, data.needed, 0.0)
    return (
        f"{start}. It is below {ENOUGH} after {data.needed} iterations: at most {bound:.1f} times "
        "faster."
    )


slabs_in_time = explorable(
    compute,
    draw,
    describe,
    question="Predict first: which takes fewer iterations, a decay or an oscillation?",
    size=(8.6, 3.6),
    controls={
        "angle": slider("angle, 0 decay, 90 oscillation", 0, 90, value=0, step=10, format=".0f"),
        "length": slider("length of time", 2.0, 10.0, value=5.0, step=0.5, format=".1f"),
        "slabs": int_slider("slabs", 4, 40, value=10, step=2),
        "frame": play("iteration", ITERATIONS + 1, value=1, milliseconds=700),
    },
)
