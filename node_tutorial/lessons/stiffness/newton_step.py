"""Lesson 04: the equation of one implicit Euler step, and three ways of walking to its root.

The step is that of y' = -kappa y^3 from y = 1. With s = h kappa its end u solves

    r(u) = u - 1 + s u^3 = 0.

Each way draws a line through (u, r(u)) and goes to where it meets the axis. The lines differ in
their slope: r'(u) is Newton's method, r'(1) is Newton's with the first Jacobian kept, and 1 is the
iteration u <- 1 - s u^3, since u - r(u) is just that.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice, log_slider, play
from ...course.explorables import explorable
from ...plotting import BLUE, GRAY, GREEN, VERMILLION, label_line

FRAMES = 11  # from 0 to 10 iterations
NEWTON = "Newton's method"
KEPT = "first Jacobian kept"
PLAIN = "u ← y + h f(u)"
COLORS = {NEWTON: BLUE, KEPT: GREEN, PLAIN: VERMILLION}
_SPAN = (-0.35, 1.15)  # of u that is drawn
_FLOOR = 1e-16  # errors below it are drawn there
_LOST = 1e3  # an iterate beyond it has run away


class Walk(NamedTuple):
    """The iterates (n,) of all ways by name, and the root; 11 of them, or until one runs away."""

    s: float
    way: str
    frame: int
    root: float
    iterates: dict[str, np.ndarray]

    @property
    def u(self) -> float:
        path = self.iterates[self.way]
        return float(path[min(self.frame, len(path) - 1)])

    @property
    def error(self) -> float:
        return abs(self.u - self.root)


def residual(u: np.ndarray | float, s: float) -> np.ndarray | float:
    """r(u), which is 0 at the end of the step."""
    return u - 1 + s * u**3


def slope(u: float, s: float, way: str) -> float:
    """The slope of the line along which a way goes from u to its next iterate."""
    return {NEWTON: 1 + 3 * s * u**2, KEPT: 1 + 3 * s, PLAIN: 1.0}[way]


def iterate(s: float, way: str) -> np.ndarray:
    """Iterates (n,) from u = 1: eleven, or until one is beyond 1000."""
    found = [1.0]
    while len(found) < FRAMES and abs(found[-1]) < _LOST:
        u = found[-1]
        found.append(u - float(residual(u, s)) / slope(u, s, way))
    return np.array(found)


def step_end(s: float) -> float:
    """The root of r, to rounding: bisection between 0 and 1."""
    low = 0.0
    high = 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if residual(middle, s) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def compute(s: float, way: str, frame: int) -> Walk:
    return Walk(s, way, frame, step_end(s), {name: iterate(s, name) for name in COLORS})


def draw(fig: Figure, data: Walk) -> None:
    left, right = fig.subplots(1, 2, width_ratios=[1.2, 1])
    _draw_residual(left, data)
    _draw_errors(right, data)


def _draw_residual(ax: Axes, data: Walk) -> None:
    """r over u, and the lines walked so far."""
    u = np.linspace(*_SPAN, 200)
    ax.axhline(0, color=GRAY, linewidth=0.8)
    ax.plot(u, residual(u, data.s), color="black", linewidth=1.2)
    path = data.iterates[data.way]
    color = COLORS[data.way]
    walked = path[: data.frame + 1]
    for k, (here, there) in enumerate(pairwise(walked)):
        height = float(residual(here, data.s))
        ax.plot([here, here], [0, height], ":", color=color, linewidth=1)
        ax.plot(
            [here, there], [height, 0], color=color, linewidth=2 if k == data.frame - 1 else 0.9
        )
    if abs(data.u) < _LOST:
        ax.plot(data.u, 0, "o", color=color, markersize=8, zorder=3)
    ax.plot(data.root, 0, "+", color="black", markersize=13, zorder=4)
    ax.set(xlim=_SPAN, ylim=(-0.45 * data.s - 0.5, 1.1 * data.s + 0.2))
    ax.set(xlabel="u (cross: the end of the step)", ylabel="r(u)")
    ax.set_title(f"hκ = {data.s:.3g}, {data.way}\n{_fate(data)}")


def _draw_errors(ax: Axes, data: Walk) -> None:
    """How far the iterates of all ways are from the root, and a dot at the frame."""
    for name, path in data.iterates.items():
        now = name == data.way
        (line,) = ax.plot(
            np.maximum(abs(path - data.root), _FLOOR),
            ".-",
            color=COLORS[name],
            alpha=1 if now else 0.4,
            linewidth=1.6 if now else 1,
        )
        ax.set(yscale="log", xlim=(-0.3, FRAMES - 0.7), ylim=(1e-17, 1e4))
        label_line(line, {NEWTON: "Newton", KEPT: "kept", PLAIN: "plain"}[name])
    if abs(data.u) < _LOST:
        ax.plot(data.frame, max(data.error, _FLOOR), "o", color=COLORS[data.way], markersize=8)
    ax.set(xlabel="iteration", ylabel="distance from the end")
    ax.set_yticks([1e-16, 1e-12, 1e-8, 1e-4, 1, 1e4])
    ax.minorticks_off()


def _fate(data: Walk) -> str:
    if not abs(data.u) < _LOST:
        return f"iteration {data.frame}: it has run away"
    size = "less than 1e-10" if data.error < 1e-10 else f"{data.error:.0e}"
    return f"iteration {data.frame}: u = {data.u:.4f}, off by {size}"


def describe(data: Walk) -> str:
    return f"hκ = {data.s:.3g}, {data.way}, {_fate(data)}."


newton_step = explorable(
    compute,
    draw,
    describe,
    size=(8.6, 3.7),
    question="Predict first: how many iterations give six digits at hκ = 10? Then press play.",
    controls={
        "s": log_slider("hκ", 0.1, 100, value=10.0, per_decade=10, format=".3g"),
        "way": choice("iteration", list(COLORS)),
        "frame": play("iterations", FRAMES, value=3, milliseconds=700),
    },
)
