"""Lesson 14: noise on the line is stretched, and which factor its density needs."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, slider
from ...course.explorables import explorable
from ...plotting import BLUE, EXACT, GRAY, VERMILLION, label_line

Z = torch.linspace(-12, 12, 2401, dtype=torch.float64)
P = torch.exp(-Z.square() / 2) / math.sqrt(2 * math.pi)
COUNT = 20_000
QUANTILES = torch.special.ndtri((torch.arange(COUNT, dtype=torch.float64) + 0.5) / COUNT)
STEP = (0.5, 0.75)  # a small step of z, whose image is shown
Z_RANGE = (-3.0, 3.0)
X_RANGE = (-5.0, 7.0)
BINS = np.linspace(*X_RANGE, 61)
BARS = "#C9DDEA"
BARS_TEXT = "#5B93B5"


class Map(NamedTuple):
    """A map of the line, x and its slope dx/dz as functions of z and a parameter a."""

    x: Callable[[Tensor, float], Tensor]
    slope: Callable[[Tensor, float], Tensor]


MAPS = {
    "x = a z": Map(lambda z, a: a * z, lambda z, a: torch.full_like(z, a)),
    "x = -a z": Map(lambda z, a: -a * z, lambda z, a: torch.full_like(z, -a)),
    "x = exp(a z)": Map(lambda z, a: torch.exp(a * z), lambda z, a: a * torch.exp(a * z)),
    "x = z + a tanh(2 z)": Map(
        lambda z, a: z + a * torch.tanh(2 * z),
        lambda z, a: 1 + 2 * a * (1 - torch.tanh(2 * z).square()),
    ),
}
FACTORS: dict[str, Callable[[Tensor], Tensor]] = {
    "no factor": torch.ones_like,
    "|dz/dx|": lambda slope: 1 / slope.abs(),
    "dz/dx": lambda slope: 1 / slope,
    "|dx/dz|": lambda slope: slope.abs(),
}


class Stretched(NamedTuple):
    """A map, and what p(z) times a factor makes of the density of x.

    x and the claimed density (2401,) are those at Z; area is the integral of the latter over x;
    heights (60,) are the histogram of x over BINS; step is the image of STEP.
    """

    map: str
    a: float
    factor: str
    x: Tensor
    claimed: Tensor
    area: float
    heights: np.ndarray
    step: list[float]


def compute(map: str, a: float, factor: str) -> Stretched:
    """x = map(z) with z from N(0, 1): its histogram, and p(z) times the factor."""
    chosen = MAPS[map]
    slope = chosen.slope(Z, a)
    claimed = P * FACTORS[factor](slope)
    share = 1 / (BINS[1] - BINS[0]) / COUNT  # so that the area of the bars is the share of draws
    heights, _ = np.histogram(
        chosen.x(QUANTILES, a).numpy(), bins=BINS, weights=np.full(COUNT, share)
    )
    return Stretched(
        map=map,
        a=a,
        factor=factor,
        x=chosen.x(Z, a),
        claimed=claimed,
        area=float(torch.trapezoid(claimed * slope.abs(), Z)),  # over x: dx = |dx/dz| dz
        heights=heights,
        step=chosen.x(torch.tensor(STEP, dtype=torch.float64), a).tolist(),
    )


def draw(fig: Figure, data: Stretched) -> None:
    """The map with a small step and its image; the histogram of x and the claimed density."""
    left, right = fig.subplots(1, 2, width_ratios=[2, 3])
    _draw_map(left, data)
    _draw_densities(right, data)


def _draw_map(ax: Axes, data: Stretched) -> None:
    low, high = sorted(data.step)
    ax.plot(Z, data.x, color=BLUE)
    ax.fill_betweenx(X_RANGE, *STEP, color=GRAY, alpha=0.35, linewidth=0)
    ax.fill_between(Z_RANGE, low, high, color=VERMILLION, alpha=0.35, linewidth=0)
    ax.set(xlim=Z_RANGE, ylim=X_RANGE, xlabel="z", ylabel="x")
    ax.set_title(
        f"{data.map}, a = {data.a:.1f}\ndz = {STEP[1] - STEP[0]:.2f}, dx = {high - low:.2f}"
    )


def _draw_densities(ax: Axes, data: Stretched) -> None:
    ax.stairs(data.heights, BINS, fill=True, color=BARS)
    ax.plot(data.x, data.claimed, color=VERMILLION)
    ax.axhline(0, color=EXACT, linewidth=0.8)
    ax.set(xlim=X_RANGE, ylim=(-0.8, 1.2), xlabel="x", ylabel="density")
    label_line((-4.6, 1.08), _formula(data), ax=ax, color=VERMILLION, dx=0)
    label_line((-4.6, 0.94), "histogram of x", ax=ax, color=BARS_TEXT, dx=0)
    ax.set_title(f"area under the curve: {_short(data.area)}")


def describe(data: Stretched) -> str:
    """Whether p(z) times the factor is a density."""
    verdict = "a density" if abs(data.area - 1) < 1e-6 else "no density"
    return (
        f"{data.map}, a = {data.a:.1f}: {_formula(data)} has area {_short(data.area)}: {verdict}."
    )


def _formula(data: Stretched) -> str:
    return "p(z)" if data.factor == "no factor" else f"p(z) {data.factor}"


def _short(area: float) -> str:
    return f"{area:.4f}" if abs(area) < 100 else f"{area:.0e}"


stretched_density = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: which factor gives area 1 for all maps, and what goes wrong with the three "
        "others?"
    ),
    size=(8.4, 3.7),
    controls={
        "map": choice("map", list(MAPS), value="x = z + a tanh(2 z)"),
        "a": slider("a", 0.4, 2.4, value=1.6, step=0.1, format=".1f"),
        "factor": choice("factor", list(FACTORS)),
    },
)
