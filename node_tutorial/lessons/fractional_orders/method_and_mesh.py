"""Lesson 20: methods for D^alpha y = -y, on even and graded meshes, and their errors."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, power_slider, slider, toggle
from ...course.explorables import explorable
from ...data.mittag_leffler import mittag_leffler
from ...plotting import BLUE, EXACT, GRAY
from ...solvers.fractional import fdeint, graded

STEPS = (8, 16, 32, 64, 128)
METHODS = ("gl", "l1", "adams", "rectangle")
FINE = np.linspace(0, 1, 201)


class Errors(NamedTuple):
    """Of one method and mesh, for each number of STEPS: at t = 1, and the largest; and meshes."""

    at_end: np.ndarray
    largest: np.ndarray
    meshes: list[Tensor]
    solutions: list[Tensor]


class MethodAndMesh(NamedTuple):
    """A method, its errors, and the one setting that is drawn.

    Attributes:
        orders: observed with the two largest numbers of STEPS, at t = 1 and of the largest error.
        promised: the order for smooth solutions.
    """

    method: str
    alpha: float
    on_graded: bool
    steps: int
    errors: Errors
    exact: np.ndarray
    orders: tuple[float, float]
    promised: float


def mesh_of(steps: int, alpha: float, on_graded: bool) -> Tensor:
    """From 0 to 1: even, or graded with the power that is best for l1, (2 - alpha) / alpha."""
    return graded(1.0, steps, (2 - alpha) / alpha if on_graded else 1.0)


@lru_cache(maxsize=128)
def errors(method: str, alpha: float, on_graded: bool) -> Errors:
    """Those of D^alpha y = -y from y(0) = 1."""
    meshes = [mesh_of(n, alpha, on_graded) for n in STEPS]
    one = torch.ones(1, dtype=torch.float64)
    solutions = [fdeint(lambda t, y: -y, one, mesh, alpha, method=method)[:, 0] for mesh in meshes]
    off = [
        abs(y.numpy() - mittag_leffler(-(mesh.numpy() ** alpha), alpha))
        for mesh, y in zip(meshes, solutions)
    ]
    return Errors(
        np.array([o[-1] for o in off]), np.array([o.max() for o in off]), meshes, solutions
    )


def compute(method: str, steps: int, alpha: float, on_graded: bool) -> MethodAndMesh:
    on_graded = on_graded and method != "gl"  # which needs equal steps
    found = errors(method, alpha, on_graded)
    orders = tuple(
        float(np.log2(e[-2] / e[-1])) if e[-1] > 0 else 0.0 for e in (found.at_end, found.largest)
    )
    return MethodAndMesh(
        method=method,
        alpha=alpha,
        on_graded=on_graded,
        steps=steps,
        errors=found,
        exact=mittag_leffler(-(FINE**alpha), alpha),
        orders=(orders[0], orders[1]),
        promised={"l1": 2 - alpha, "adams": 1 + alpha}.get(method, 1.0),
    )


def draw(fig: Figure, data: MethodAndMesh) -> None:
    """The solution with its points, and both errors over the number of steps; dashed the order that
    is promised for smooth solutions.
    """
    left, right = fig.subplots(1, 2)
    k = STEPS.index(data.steps)
    left.plot(FINE, data.exact, color=EXACT, linewidth=1.4)
    left.plot(data.errors.meshes[k], data.errors.solutions[k], "o", color=BLUE, markersize=3.5)
    left.set(xlim=(-0.02, 1.02), ylim=(0.25, 1.05), xlabel="t", ylabel="y")
    mesh = "graded mesh" if data.on_graded else "even mesh"
    if data.method == "gl":
        mesh = "even mesh, its only one"
    left.set_title(f"{data.method}, order {data.alpha:.2f}, {data.steps} steps,\n{mesh}")
    shown = ((data.errors.at_end, BLUE, "at t = 1"), (data.errors.largest, GRAY, "largest"))
    for place, (values, color, name) in enumerate(shown):
        right.loglog(STEPS, values, "o-", color=color)
        right.loglog(data.steps, values[k], "o", color=color, markersize=9)
        right.text(0.03, 0.12 - 0.08 * place, name, color=color, transform=right.transAxes)
    line = data.errors.at_end[0] * (np.array(STEPS) / STEPS[0]) ** -data.promised
    right.loglog(STEPS, line, color=BLUE, linewidth=1.2, linestyle=(0, (5, 3)))
    name = f"promised: {data.promised:.1f}"
    right.text(0.03, 0.2, name, color=BLUE, fontsize=9.5, transform=right.transAxes)
    right.set(xlim=(6, 160), ylim=(1e-6, 1), xlabel="steps", ylabel="error")
    right.set_xticks(STEPS, [str(n) for n in STEPS])
    right.minorticks_off()
    right.set_title(
        f"error {values_of(data, k)[0]:.1e}, largest {values_of(data, k)[1]:.1e},\n"
        f"orders {data.orders[0]:.2f} and {data.orders[1]:.2f}"
    )


def values_of(data: MethodAndMesh, k: int) -> tuple[float, float]:
    """Both errors for STEPS[k]."""
    return float(data.errors.at_end[k]), float(data.errors.largest[k])


def describe(data: MethodAndMesh) -> str:
    """Both errors and orders."""
    at_end, largest = values_of(data, STEPS.index(data.steps))
    mesh = "a graded" if data.on_graded else "an even"
    return (
        f"{data.method} on {mesh} mesh of {data.steps} steps, order {data.alpha:.2f}: error "
        f"{at_end:.1e} at t = 1, of order {data.orders[0]:.1f}; largest {largest:.1e}, of order "
        f"{data.orders[1]:.1f}."
    )


method_and_mesh = explorable(
    compute,
    draw,
    describe,
    question="Predict first: l1 is of order 2 - alpha. By what factor does twice the steps help?",
    size=(8.4, 4.0),
    controls={
        "method": choice("method", METHODS, "l1"),
        "steps": power_slider("steps", STEPS[0], STEPS[-1], 32),
        "alpha": slider("order", 0.3, 1.0, value=0.5, step=0.1, format=".1f"),
        "on_graded": toggle("graded mesh"),
    },
)
