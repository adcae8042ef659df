"""Lesson 08: paths of a flow on the line keep their order; those of Euler's steps may not.

The field is y' = -k y. Euler's polygons pass through each other where h k > 1.
"""

import math
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import int_slider, slider
from ...course.explorables import explorable
from ...plotting import BLUE, VERMILLION, exact_line, label_line

STARTS = torch.linspace(-1, 1, 9, dtype=torch.float64)
FINE = torch.linspace(0, 1, 101, dtype=torch.float64)  # times at which the flow is drawn


class Crossing(NamedTuple):
    """Nine paths of Euler's method at n + 1 times, and of the flow at the times FINE.

    crossings: the number of steps in which all paths cross; meet: all are 0 after one step.
    mse, mse_flow: of the map -1 -> 1, 1 -> -1.
    """

    k: float
    n: int
    hk: float
    t: Tensor
    paths: Tensor
    flow: Tensor
    crossings: int
    meet: bool
    mse: float
    mse_flow: float


def compute(k: float, n: int) -> Crossing:
    factor = 1 - k / n
    steps = torch.arange(n + 1, dtype=torch.float64)
    return Crossing(
        k=k,
        n=n,
        hk=k / n,
        t=torch.linspace(0, 1, n + 1, dtype=torch.float64),
        paths=STARTS * factor ** steps[:, None],
        flow=STARTS * torch.exp(-k * FINE)[:, None],
        crossings=n if factor < 0 else 0,  # each step turns the line over
        meet=factor == 0,
        mse=(factor**n + 1) ** 2,
        mse_flow=(math.exp(-k) + 1) ** 2,
    )


def draw(fig: Figure, data: Crossing) -> None:
    left, right = fig.subplots(1, 2, width_ratios=[5, 3])
    _draw_paths(left, data)
    _draw_map(right, data)
    left.set_title(
        f"k = {data.k:.1f}, {_steps(data.n)} (NFE {data.n}), h k = {data.hk:.2f}\n"
        f"{_verdict(data)}; MSE {_short(data.mse)}, of the flow {data.mse_flow:.2f}"
    )


def _draw_paths(ax: Axes, data: Crossing) -> None:
    for flow, path in zip(data.flow.T, data.paths.T):
        exact_line(FINE, flow, ax=ax, label=None, linewidth=0.9)
        ax.plot(data.t, path, ".-", color=BLUE, linewidth=1.1, markersize=4)
    ax.set(xlim=(0, 1), ylim=(-2.1, 2.1), xlabel="t", ylabel="y")


def _draw_map(ax: Axes, data: Crossing) -> None:
    """Ends over starts, and the reflection."""
    exact_line(STARTS, data.flow[-1], ax=ax, label=None)
    ax.plot(STARTS, data.paths[-1], "o-", color=BLUE, markersize=4)
    ax.plot([-1, 1], [1, -1], "x", color=VERMILLION, markersize=8, markeredgewidth=2)
    ax.set(xlim=(-1.3, 1.3), ylim=(-2.1, 2.1), xlabel="start y(0)", ylabel="end y(1)")
    label_line((-1, 1), "target", ax=ax, color=VERMILLION, dy=9, dx=-6)


def describe(data: Crossing) -> str:
    return (
        f"k = {data.k:.1f}, {_steps(data.n)}, h k = {data.hk:.2f}: {_verdict(data)}; the MSE of "
        f"the reflection is {_short(data.mse)} for the steps and {data.mse_flow:.4f} for the flow "
        "(dashed)."
    )


def _verdict(data: Crossing) -> str:
    if data.meet:
        return "all paths meet after one step"
    return "all paths cross in every step" if data.crossings else "no paths cross"


def _steps(n: int) -> str:
    return "1 Euler step" if n == 1 else f"{n} Euler steps"


def _short(mse: float) -> str:
    return f"{mse:.2f}" if mse < 1000 else f"{mse:.0e}"


crossing = explorable(
    compute,
    draw,
    describe,
    question="Predict first: with k = 2, for which numbers of steps do the blue paths pass "
    "through each other?",
    size=(8.2, 3.5),
    controls={
        "k": slider("k", 0.5, 8.0, value=2.0, step=0.5, format=".1f"),
        "n": int_slider("Euler steps n", 1, 16, value=4),
    },
)
