"""Lesson 07: the dial between accuracy and speed, turned at test time.

A trained net under another solver and tolerance: evaluations, wrong answers, and how far the scores
are from the exact ones.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from ...course.controls import choice, log_slider
from ...course.explorables import explorable
from ...plotting import BLUE, GRAY, GREEN, ORANGE, label_line
from .runs import results

_BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85}  # of a label

NETS = {
    "dopri5 at 1e-3": "ODE-Net",
    "one Euler step": "one Euler step",
    "dopri5 at 1e-3, with ReLU": "ReLU",
    "dopri5 at 1e-3, without norms": "no norms",
}
ADAPTIVE = {"bosh3": ORANGE, "dopri5": BLUE, "dopri8": GREEN}
FIXED = {"euler": "Euler steps", "rk4_classic": "RK4 steps"}


class Row(NamedTuple):
    """A net with one method, for rising numbers of steps or falling tolerances (n,).

    Of 450 answers some are wrong, and some changed against those of the exact solution. distance:
    root mean square of the scores' errors.
    """

    nfe: list[int]
    wrong: list[int]
    changed: list[int]
    distance: list[float]


class Point(NamedTuple):
    """One entry of a row."""

    nfe: int
    wrong: int
    changed: int
    distance: float


class Dial(NamedTuple):
    """The rows of a net by method, and the point of the chosen method and tolerance."""

    net: str
    method: str
    tolerance: float
    rows: dict[str, Row]
    now: Point


def compute(tolerance: float, method: str, net: str) -> Dial:
    stored = results()["dial"]
    tols = stored["tolerances"]
    rows = {name: Row(**row) for name, row in stored["nets"][NETS[net]].items()}
    place = min(range(len(tols)), key=lambda i: abs(math.log(tols[i] / tolerance)))
    row = rows[method]
    now = Point(row.nfe[place], row.wrong[place], row.changed[place], row.distance[place])
    return Dial(net, method, tols[place], rows, now)


def draw(fig: Figure, data: Dial) -> None:
    left, right = fig.subplots(1, 2)
    now = data.now
    _draw_wrong(left, data)
    _draw_distance(right, data)
    left.set_title(f"{data.method} at {data.tolerance:.0e}: NFE {now.nfe}, {now.wrong} wrong")
    right.set_title(f"{now.changed} answers changed, scores off by {now.distance:.0e}")


def _draw_wrong(ax: Axes, data: Dial) -> None:
    for method, row in data.rows.items():
        _draw_line(ax, row.nfe, row.wrong, method, now=method == data.method)
    _draw_point(ax, data.now.nfe, data.now.wrong, data.method)
    ax.set(ylim=(0, 40), ylabel="wrong, of 450")


def _draw_distance(ax: Axes, data: Dial) -> None:
    lines = {}
    for method, row in data.rows.items():
        now = method == data.method
        lines[method] = _draw_line(ax, row.nfe, row.distance, method, now=now)
    _draw_point(ax, data.now.nfe, data.now.distance, data.method)
    ax.set_yscale("log")
    ax.set(ylim=(1e-7, 20), ylabel="distance from the exact scores")
    ax.set_yticks([1e-6, 1e-4, 1e-2, 1], ["1e-6", "1e-4", "1e-2", "1"])
    ax.yaxis.set_minor_locator(NullLocator())
    for method, line in lines.items():
        weight = "bold" if method == data.method else "normal"
        label_line(line, FIXED.get(method, method), weight=weight, bbox=_BEHIND)


def _draw_line(
    ax: Axes, nfe: Sequence[int], values: Sequence[float], method: str, *, now: bool
) -> Line2D:
    """Values over evaluations, thick for the method that is chosen now."""
    style: dict[str, Any] = {"color": ADAPTIVE.get(method, GRAY), "markersize": 4}
    style |= {"linewidth": 2.2} if now else {"linewidth": 1.0, "alpha": 0.8}
    (line,) = ax.plot(nfe, values, ".-", **style)
    return line


def _draw_point(ax: Axes, nfe: int, value: float, method: str) -> None:
    """The chosen setting, and the axis of evaluations."""
    ax.plot(nfe, value, "o", color=ADAPTIVE[method], markersize=10)
    ax.set_xscale("log")
    ax.set(xlabel="evaluations of f", xlim=(0.8, 6000))
    ax.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    ax.xaxis.set_minor_locator(NullLocator())


def describe(data: Dial) -> str:
    now = data.now
    return (
        f"Trained with {data.net}, tested with {data.method} at {data.tolerance:.0e}: "
        f"{now.nfe} evaluations, {now.wrong} of 450 wrong; {now.changed} answers differ from "
        f"those of the exact solution, the scores by {now.distance:.0e}."
    )


tolerance_dial = explorable(
    compute,
    draw,
    describe,
    question="Predict first: from 1e-6 to 1e-1, how many evaluations are saved, "
    "and how many digits are lost?",
    size=(9.2, 3.9),
    controls={
        "tolerance": log_slider("tolerance in the test", 1e-6, 1.0, value=1e-3, format=".0e"),
        "method": choice("tested with", list(ADAPTIVE), value="dopri5"),
        "net": choice("trained with", list(NETS)),
    },
)
