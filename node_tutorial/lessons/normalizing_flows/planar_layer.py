"""Lesson 14: one planar layer, and what happens to the plane when w.u falls below -1."""

import math
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import slider
from ...course.explorables import explorable
from ...plotting import BLUE, GRAY, VERMILLION, exact_line
from .grids import draw_grid, log_det_key, square_grid

ANGLE = math.radians(25)  # of w
LEVEL = 0.0  # w.z of the image whose points x are counted
LINES = square_grid(3.0, 21, 61)
A = torch.linspace(-40, 40, 8001, dtype=torch.float64)
SHOWN = A[A.abs() <= 4]


class PlanarLayer(NamedTuple):
    """A layer, and what it does to the plane.

    lines (42, 61, 2) is the image of LINES, stretch (42, 61) is det dg/dx there; area is the
    integral of the density that the formula claims; roots are all a with a + wu tanh(a) = LEVEL.
    """

    wu: float
    steep: float
    shear: float
    lines: Tensor
    stretch: Tensor
    area: float
    roots: list[float]


def compute(wu: float, steep: float, shear: float) -> PlanarLayer:
    """g(x) = x + u tanh(w.x), for |w| = steep and a part `shear` of u that is across w."""
    along = torch.tensor([math.cos(ANGLE), math.sin(ANGLE)], dtype=torch.float64)
    w = steep * along
    u = wu * w / steep**2 + shear * torch.stack([-along[1], along[0]])
    h = torch.tanh(LINES @ w)
    return PlanarLayer(
        wu=wu,
        steep=steep,
        shear=shear,
        lines=LINES + h[..., None] * u,
        stretch=1 + wu * (1 - h * h),
        area=area(wu, steep),
        roots=roots(wu, LEVEL),
    )


def area(wu: float, steep: float) -> float:
    """The integral of N(g(x)) |det dg/dx| over the plane, by the trapezoid rule.

    It is the mean number of points x that z from N(0, I) comes from. Only the direction of w
    counts: an integral over a = w.x, where w.z is from N(0, |w|^2).
    """
    h = torch.tanh(A)
    normal = torch.exp(-(((A + wu * h) / steep) ** 2) / 2) / (steep * math.sqrt(2 * math.pi))
    return float(torch.trapezoid(normal * (1 + wu * (1 - h * h)).abs(), A))


def roots(wu: float, level: float) -> list[float]:
    """All a with a + wu tanh(a) = level, found between points of a fine grid: n of them.

    Linear between the two points where the sign changes.
    """
    a = torch.linspace(-8, 8, 4002, dtype=torch.float64)
    value = a + wu * torch.tanh(a) - level
    before = (value[:-1] * value[1:] < 0).nonzero()[:, 0]
    after = before + 1
    slope = (value[after] - value[before]) / (a[after] - a[before])
    return (a[before] - value[before] / slope).tolist()


def draw(fig: Figure, data: PlanarLayer) -> None:
    """The image of a grid, and the curve w.x -> w.g(x), which must not fall."""
    left, right = fig.subplots(1, 2, width_ratios=[5, 4])
    _draw_plane(left, data)
    _draw_curve(right, data)


def _draw_plane(ax: Axes, data: PlanarLayer) -> None:
    draw_grid(
        data.lines,
        data.stretch.abs().clamp(min=1e-3).log(),
        ax=ax,
        limits=(-5.2, 5.2, -4.4, 4.4),
        turned=data.stretch < 0,
        linewidth=0.9,
    )
    log_det_key(ax)
    ax.set(xlabel="z₁", ylabel="z₂")
    ax.set_title(
        f"w·u = {data.wu:.2f}, |w| = {data.steep:.1f}, shear {data.shear:.1f}\n{_verdict(data)}"
    )


def _draw_curve(ax: Axes, data: PlanarLayer) -> None:
    ax.plot(SHOWN, SHOWN + data.wu * torch.tanh(SHOWN), color=BLUE)
    exact_line(SHOWN, SHOWN, ax=ax, label=None)
    ax.axhline(LEVEL, color=GRAY, linewidth=1)
    ax.plot(data.roots, [LEVEL] * len(data.roots), "o", color=VERMILLION, markersize=7)
    ax.set(xlim=(-4, 4), ylim=(-6, 6), xlabel="w·x", ylabel="w·z")
    ax.set_title(f"{_points(data)} for one z\nintegral of “p”: {data.area:.3f}")


def describe(data: PlanarLayer) -> str:
    """Whether the layer is one-to-one, and the integral of what would be its density."""
    return (
        f"w·u = {data.wu:.2f}, |w| = {data.steep:.1f}, shear {data.shear:.1f}: {_verdict(data)}; "
        f"{_points(data)} for one z, and the formula's density integrates to {data.area:.3f}."
    )


def _verdict(data: PlanarLayer) -> str:
    if data.wu < -1:
        return "folded (red: turned over)"
    return "one-to-one" if data.wu > -1 else "at the limit: det = 0 on a line"


def _points(data: PlanarLayer) -> str:
    number = len(data.roots)
    return "1 point x" if number == 1 else f"{number} points x"


planar_layer = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: at which w·u does the plane fold, and what does the integral of the "
        "density become?"
    ),
    size=(8.6, 4.1),
    controls={
        "wu": slider("w·u", -3.0, 3.0, value=-0.5, step=0.25),
        "steep": slider("|w|", 0.5, 3.0, value=1.0, step=0.5, format=".1f"),
        "shear": slider("shear (part of u across w)", -1.5, 1.5, value=0.0, step=0.5, format=".1f"),
    },
)
