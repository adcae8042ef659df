"""Lesson 13: Euler's steps on a center and on a limit cycle, side by side."""

import math
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, slider
from ...course.explorables import explorable
from ...data.limit_cycles import TURN, center, euler_cycle, hopf
from ...plotting import BLUE, EXACT, VERMILLION
from ...solvers.odeint import odeint

TURNS = 5  # of the exact solutions, one in a unit of time
SHOWN = 3.2  # half the width of a picture
STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2)


class TwoCycles(NamedTuple):
    """Euler's paths from (start, 0).

    Attributes:
        center, limit: states (n + 1, 2).
        radius: of both at the end.
        exact: the radius at which Euler's steps stay on the limit cycle's field; None if nowhere.
    """

    start: float
    h: float
    center: Tensor
    limit: Tensor
    radius: tuple[float, float]
    exact: float | None


def compute(start: float, h: float) -> TwoCycles:
    y0 = torch.tensor([start, 0.0], dtype=torch.float64)
    t = h * torch.arange(round(TURNS / h) + 1, dtype=torch.float64)
    both = [odeint(center, y0, t, method="euler"), _until_it_is_gone(y0, h, len(t))]
    exact = euler_cycle(h) if h * TURN <= 1 else None
    ends = (float(both[0][-1].norm()), float(both[1][-1].norm()))
    return TwoCycles(start, h, both[0], both[1], ends, exact)


def _until_it_is_gone(y: Tensor, h: float, n: int) -> Tensor:
    """Euler's steps on `hopf`, until 1e6 from 0: the next ones would be infinite."""
    path = [y]
    while len(path) < n and float(path[-1].norm()) < 1e6:
        path.append(path[-1] + h * hopf(0.0, path[-1]))
    return torch.stack(path)


def draw(fig: Figure, data: TwoCycles) -> None:
    left, right = fig.subplots(1, 2)
    for ax, path, radius in ((left, data.center, data.start), (right, data.limit, 1.0)):
        _circle(ax, radius, EXACT, (0, (5, 3)))
        ax.plot(*path.T.numpy(), ".-", color=BLUE, linewidth=0.9, markersize=2.5)
        ax.plot(*path[0].numpy(), "o", color=BLUE, markersize=7)
        ax.set(xlim=(-SHOWN, SHOWN), ylim=(-SHOWN, SHOWN), aspect="equal", xlabel="y1")
    if data.exact is not None:
        _circle(right, data.exact, VERMILLION, (0, (4, 4)), order=4)
    left.set_ylabel("y2")
    cost = f"h = {data.h:g}, NFE {len(data.center) - 1}"
    left.set_title(f"center, {cost}\nends at radius {_size(data.radius[0])}")
    kept = "no circle is kept" if data.exact is None else f"kept (orange): {data.exact:.3f}"
    right.set_title(f"limit cycle (dashed: exact)\nends at radius {_size(data.radius[1])}, {kept}")


def _circle(ax: Axes, radius: float, color: str, style: object, order: float = 1.5) -> None:
    angle = torch.linspace(0, 2 * math.pi, 200)
    ax.plot(
        radius * angle.cos(), radius * angle.sin(), color=color, linestyle=style, linewidth=1.3,
        zorder=order,
    )  # fmt: skip


def _size(radius: float) -> str:
    return f"{radius:.3f}" if radius < 100 else "over 100"


def describe(data: TwoCycles) -> str:
    kept = "No circle is kept" if data.exact is None else f"The kept circle has {data.exact:.3f}"
    return (
        f"From radius {data.start:.1f}, five turns with h = {data.h:g}: Euler ends at radius "
        f"{_size(data.radius[0])} on the center, at {_size(data.radius[1])} on the limit cycle. "
        f"{kept}."
    )


two_cycles = explorable(
    compute,
    draw,
    describe,
    question="Predict first: which of the two survives Euler's steps of 0.05, and at which radius?",
    size=(8.4, 4.6),
    controls={
        "start": slider("start radius", 0.1, 2.5, value=0.5, step=0.1, format=".1f"),
        "h": choice("step h", STEPS, 0.05),
    },
)
