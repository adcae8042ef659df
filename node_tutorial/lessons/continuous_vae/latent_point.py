"""Lesson 11: a latent point, the path that the oscillator's field sends it on, and the series that
it decodes to, at any time.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ... import solve
from ...course.controls import play, slider
from ...course.explorables import explorable
from ...models import Oscillator
from ...plotting import BLUE, GRAY, ORANGE, SKY, VERMILLION, exact_line
from .physics import position_weights

END = 15.0
TIMES = torch.linspace(0, END, 301, dtype=torch.float64)
PER_FRAME = 5  # of these times
FRAMES = 61
REACH = 4.4  # of the plane that is shown


class Generated(NamedTuple):
    """The latent path (301, 2) from start = (q, v) at TIMES, and what it cost in evaluations.

    now: the place in TIMES that is reached; exact: the path's positions (301,) by the formula;
    error: the largest difference from them; zeros: how often they change their sign.
    """

    start: tuple[float, float]
    omega: float
    damping: float
    kind: str
    now: int
    path: np.ndarray
    nfe: int
    exact: np.ndarray
    error: float
    zeros: int


class Path(NamedTuple):
    """States (301, 2) at TIMES, and the evaluations that they took."""

    states: np.ndarray
    nfe: int


@lru_cache(maxsize=16)
def solved(q: float, v: float, omega: float, damping: float) -> Path:
    """The path from (q, v); the frames of an animation share it."""
    field = Oscillator(omega, damping).double()
    start = torch.tensor([q, v], dtype=torch.float64)
    solution = solve(field, start, TIMES, rtol=1e-5, atol=1e-6)
    return Path(solution.y.detach().numpy(), solution.stats.nfe)


def compute(q: float, v: float, omega: float, damping: float, frame: int) -> Generated:
    """Solve from (q, v), and compare with the formula."""
    path, nfe = solved(q, v, omega, damping)
    exact = position_weights(TIMES.numpy(), omega, damping) @ (q, v)
    return Generated(
        (q, v),
        omega,
        damping,
        kind=_kind(omega, damping),
        now=PER_FRAME * frame,
        path=path,
        nfe=nfe,
        exact=exact,
        error=float(np.abs(path[:, 0] - exact).max()),
        zeros=int((exact[1:] * exact[:-1] < 0).sum()),
    )


def _kind(omega: float, damping: float) -> str:
    if abs(damping - omega) < 1e-6:  # the sliders' values are rounded
        return "critical"
    if damping > omega:
        return "too damped to swing"
    return "damped" if damping else "no damping"


def draw(fig: Figure, data: Generated) -> None:
    """The path in the latent plane, and the series over time; strong until now, faint after."""
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.5])
    _draw_path(left, data)
    _draw_series(right, data)


def _draw_path(ax: Axes, data: Generated) -> None:
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in (1, 2):
        ax.plot(radius * np.cos(angle), radius * np.sin(angle), color="#CFCFCF", linewidth=1.0)
    past = data.path[: data.now + 1]
    ax.plot(*data.path.T, color=SKY, linewidth=1.0, alpha=0.6)
    ax.plot(*past.T, color=BLUE, linewidth=1.6)
    ax.plot(*data.start, "o", color=ORANGE, markersize=8)
    ax.plot(*past[-1], "o", color=VERMILLION, markersize=8)
    ends = (-REACH, REACH)
    ticks = (-4, -2, 0, 2, 4)
    ax.set(xlim=ends, ylim=ends, xticks=ticks, yticks=ticks, xlabel="q", ylabel="v")
    ax.set_aspect("equal")
    q, v = data.start
    ax.set_title(f"latent from ({q:.1f}, {v:.1f})\ngray: 1 and 2 σ of N(0, I)")


def _draw_series(ax: Axes, data: Generated) -> None:
    past = slice(data.now + 1)
    ax.axhline(0, color=GRAY, linewidth=0.6)
    ax.plot(TIMES, data.path[:, 0], color=SKY, linewidth=1.0, alpha=0.6)
    ax.plot(TIMES[past], data.path[past, 0], color=BLUE)
    exact_line(TIMES, data.exact, ax=ax, label=None)
    ax.plot(0, data.start[0], "o", color=ORANGE, markersize=8)
    ax.plot(TIMES[data.now], data.path[data.now, 0], "o", color=VERMILLION, markersize=8)
    ax.set(xlim=(-0.3, END + 0.3), ylim=(-3.6, 3.6), xlabel="t", ylabel="x = q")
    ax.set_title(f"{_setting(data)}\nNFE {data.nfe}, largest error {data.error:.0e}")


def describe(data: Generated) -> str:
    """How often the series crosses zero, and what it cost."""
    q, v = data.start
    return (
        f"{_setting(data)}; from ({q:.1f}, {v:.1f}) the series crosses zero {data.zeros} times in "
        f"{END:g} units of time; drawn until t = {TIMES[data.now]:.2f}; {data.nfe} evaluations."
    )


def _setting(data: Generated) -> str:
    return f"ω = {data.omega:.2f}, damping {data.damping:.2f}: {data.kind}"


latent_point = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: press play. Which way round does the latent move, and along a circle? "
        "From which damping on is there no swing at all?"
    ),
    size=(8.8, 3.9),
    controls={
        "frame": play("time (in quarters)", FRAMES, value=16, milliseconds=300),
        "q": slider("q at t = 0", -1.5, 1.5, value=1.0, step=0.1, format=".1f"),
        "v": slider("v at t = 0", -1.5, 1.5, value=1.0, step=0.1, format=".1f"),
        "omega": slider("ω", 0.5, 2.5, value=1.7, step=0.05),
        "damping": slider("damping", 0.0, 2.5, value=0.15, step=0.05),
    },
)
