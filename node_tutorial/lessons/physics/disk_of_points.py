"""Lesson 09: a disk of pendulums, and what a method makes of its area."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from ...course.controls import choice, play, power_slider
from ...course.explorables import explorable
from ...data.systems import pendulum
from ...plotting import BLUE, GRAY, VERMILLION
from ...solvers.odeint import odeint

CENTER = (1.2, 0.0)
RADIUS = 0.4
POINTS = 1500  # on the edge of the disk
PERIODS = 30
TURN = 2 * math.pi  # the period of small swings
COSTS = {  # evaluations of the force for a step
    "euler": 1,
    "heun2": 2,
    "rk4_classic": 4,
    "semi_implicit_euler": 1,
    "leapfrog": 1,
}
LIMIT = 4.0
LARGE = 3  # areas above this are not told apart


class DiskOfPoints(NamedTuple):
    """The edge of the disk (POINTS, 2) after some periods, and its area over the first one's.

    Attributes:
        areas: of all periods 0 to PERIODS.
    """

    method: str
    evaluations: int
    period: int
    edge: np.ndarray
    areas: np.ndarray


@lru_cache(maxsize=64)
def edges(method: str, evaluations: int) -> np.ndarray:
    """The edge after each period, (PERIODS + 1, POINTS, 2); NaN where it has left the picture."""
    angle = torch.linspace(0, 2 * math.pi, POINTS + 1, dtype=torch.float64)[:-1]
    start = torch.tensor(CENTER) + RADIUS * torch.stack([angle.cos(), angle.sin()], 1)
    t = TURN * torch.arange(PERIODS + 1, dtype=torch.float64)
    step = TURN * COSTS[method] / evaluations
    y = odeint(pendulum, start, t, method=method, options={"step_size": step})
    return y.numpy()


def area(edge: np.ndarray) -> np.ndarray:
    """Within a closed polygon (..., N, 2), by the shoelace formula."""
    x, y = edge[..., 0], edge[..., 1]
    return abs((x * np.roll(y, -1, -1) - y * np.roll(x, -1, -1)).sum(-1)) / 2


def compute(method: str, evaluations: int, frame: int) -> DiskOfPoints:
    found = edges(method, evaluations)
    areas = area(found)
    return DiskOfPoints(method, evaluations, frame, found[frame], areas / areas[0])


def draw(fig: Figure, data: DiskOfPoints) -> None:
    """The disk in the phase plane, and its area over the periods."""
    left, right = fig.subplots(1, 2, width_ratios=[1.2, 1])
    first = edges(data.method, data.evaluations)[0]
    left.fill(first[:, 0], first[:, 1], color=GRAY, alpha=0.25, linewidth=0)
    color = BLUE if abs(data.areas[data.period] - 1) < 0.01 else VERMILLION
    left.fill(data.edge[:, 0], data.edge[:, 1], color=color, alpha=0.35, linewidth=0)
    left.plot(data.edge[:, 0], data.edge[:, 1], ".", color=color, markersize=0.8)
    left.set(xlim=(-LIMIT, LIMIT), ylim=(-3, 3), xlabel="angle", ylabel="angular velocity")
    left.set_title(f"{data.method}, {data.evaluations} evaluations a period,\n{_after(data)}")
    right.plot(data.areas[: data.period + 1].clip(0, LARGE), color=color)
    right.plot(data.period, data.areas[data.period].clip(0, LARGE), "o", color=color)
    right.axhline(1, color=GRAY, linewidth=1)
    right.set(
        xlim=(0, PERIODS), ylim=(0, LARGE), xlabel="periods", ylabel="area / area at the start"
    )
    right.set_title(f"area {_times(data)} that of the start\n")


def _after(data: DiskOfPoints) -> str:
    return f"after {data.period} period" + "s" * (data.period != 1)


def _times(data: DiskOfPoints) -> str:
    """A larger one is wound around the plane, and its outline crosses itself."""
    final = data.areas[data.period]
    return f"{final:.3f} times" if final < LARGE else f"more than {LARGE} times"


def describe(data: DiskOfPoints) -> str:
    """What has become of the area."""
    final = data.areas[data.period]
    verdict = "is kept" if abs(final - 1) < 0.01 else "has grown" if final > 1 else "has shrunk"
    return (
        f"{data.method}, {data.evaluations} evaluations a period, {_after(data)}: the area "
        f"{verdict}, {_times(data)} that of the start."
    )


disk_of_points = explorable(
    compute,
    draw,
    describe,
    question="Predict first: after 30 periods, which method has which area?",
    size=(8.4, 4.0),
    controls={
        "method": choice("method", list(COSTS), "leapfrog"),
        "evaluations": power_slider("evaluations a period", 16, 128, 32),
        "frame": play("periods", PERIODS + 1, value=10),
    },
)
