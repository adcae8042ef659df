"""Lesson 21: TODO: what the picture shows, in one line."""

import math
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import int_slider, slider
from ...course.explorables import explorable
from ...plotting import BLUE, exact_line

_FINE = torch.linspace(0, 1, 101, dtype=torch.float64)


class Polygon(NamedTuple):
    """TODO: what is computed: Euler's polygon y (steps + 1,) at t, for y' = -k y from y(0) = 1."""

    k: float
    t: Tensor
    y: Tensor
    end: float
    exact: float


def compute(k: float, steps: int) -> Polygon:
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    y = (1 - k / steps) ** torch.arange(steps + 1, dtype=torch.float64)
    return Polygon(k, t, y, float(y[-1]), math.exp(-k))


def draw(fig: Figure, data: Polygon) -> None:
    ax = fig.subplots()
    exact_line(_FINE, torch.exp(-data.k * _FINE), ax=ax, label=None)
    ax.plot(data.t, data.y, ".-", color=BLUE)
    ax.set(xlim=(0, 1), ylim=(-7.5, 1.5) if data.y.min() < -1 else (-1.2, 1.2))
    ax.set(xlabel="t", ylabel="y")
    ax.set_title(f"k = {data.k:.1f}, NFE {len(data.t) - 1}, error {data.end - data.exact:+.3f}")


def describe(data: Polygon) -> str:
    return (
        f"With k = {data.k:.1f} and {len(data.t) - 1} evaluations of the field Euler's polygon "
        f"ends at {data.end:.4f}, the solution at {data.exact:.4f}."
    )


beyond_one_machine_panel = explorable(
    compute,
    draw,
    describe,
    question="Predict first: TODO: the question of the lesson, in one line?",
    controls={
        "k": slider("rate k", 0.5, 8.0, value=2.0, step=0.5, format=".1f"),
        "steps": int_slider("Euler steps", 1, 16, value=4),
    },
    size=(7.2, 3.4),
)
