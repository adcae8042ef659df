"""Lesson 20: relaxations of order alpha, and the exponentials that each is made of."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...course.controls import slider, toggle
from ...course.explorables import explorable
from ...data.mittag_leffler import mittag_leffler, rates
from ...plotting import BLUE, GRAY

END = 100.0
TIMES = np.concatenate([[0.0], np.geomspace(1e-3, END, 241)])
RATES = np.geomspace(1e-4, 1e4, 401)


class Relaxation(NamedTuple):
    """y = E_alpha(-t^alpha) at TIMES, and the density of its rates, by ln r, at RATES.

    Attributes:
        near: the share of rates within a factor two of 1.
        last: y at END.
    """

    alpha: float
    logarithmic: bool
    y: np.ndarray
    density: np.ndarray
    near: float
    last: float


@lru_cache(maxsize=64)
def relaxed(alpha: float) -> np.ndarray:
    """y at TIMES."""
    return mittag_leffler(-(TIMES**alpha), alpha)


def near_one(alpha: float) -> float:
    """The share of the rates between 1/2 and 2; 1 for alpha = 1."""
    if alpha == 1:
        return 1.0
    u = np.linspace(-np.log(2), np.log(2), 2001)
    return float(np.trapezoid(rates(np.exp(u), alpha) * np.exp(u), u))


def compute(alpha: float, logarithmic: bool) -> Relaxation:
    y = relaxed(alpha)
    density = np.zeros_like(RATES) if alpha == 1 else rates(RATES, alpha) * RATES
    return Relaxation(alpha, logarithmic, y, density, near_one(alpha), float(y[-1]))


def draw(fig: Figure, data: Relaxation) -> None:
    """The curve beside an exponential, and the density of its rates."""
    left, right = fig.subplots(1, 2)
    left.plot(TIMES, np.exp(-TIMES), color=GRAY, linewidth=1.2, linestyle=(0, (5, 3)))
    left.plot(TIMES, data.y, color=BLUE)
    left.text(0.97, 0.93, "dashed: exp(-t)", color=GRAY, transform=left.transAxes, ha="right")
    left.set(xlabel="t", ylabel="y")
    if data.logarithmic:
        left.set(xscale="log", yscale="log", xlim=(1e-3, END), ylim=(1e-4, 2))
        left.minorticks_off()
    else:
        left.set(xlim=(0, 10), ylim=(0, 1.05))
    left.set_title(f"order {data.alpha:.2f}: y(100) = {_number(data.last)}")
    if data.alpha == 1:
        right.axvline(1, color=BLUE)
    else:
        right.fill_between(RATES, data.density, color=BLUE, alpha=0.3, linewidth=0)
        right.plot(RATES, data.density, color=BLUE)
    right.set(xscale="log", xlim=(1e-4, 1e4), ylim=(0, 2.2), xlabel="rate r of exp(-r t)")
    right.set(ylabel="density of rates, by ln r")
    right.minorticks_off()
    right.set_title(f"{data.near:.0%} of the rates within a factor 2 of 1")


def describe(data: Relaxation) -> str:
    """What is left at t = 100, and how far the rates spread."""
    return (
        f"Order {data.alpha:.2f}: y(1) = {float(np.interp(1.0, TIMES, data.y)):.3f}, "
        f"y(100) = {_number(data.last)}; {data.near:.1%} of its exponentials have rates between "
        "1/2 and 2."
    )


def _number(value: float) -> str:
    return f"{value:.4f}" if value > 1e-3 else f"{value:.1e}"


relaxation = explorable(
    compute,
    draw,
    describe,
    question=("Predict first: with order 0.9 instead of 1, by what factor is y(100) larger?"),
    size=(8.4, 3.7),
    controls={
        "alpha": slider("order", 0.1, 1.0, value=0.5, step=0.05),
        "logarithmic": toggle("logarithmic axes"),
    },
)
