"""Lesson 20: a memory that ends, what it forgets, and what remembering costs."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from ...course.controls import choice, slider
from ...course.explorables import explorable
from ...data.mittag_leffler import mittag_leffler
from ...plotting import BLUE, EXACT, GRAY, VERMILLION
from ...solvers.fractional import fdeint

END = 20.0
STEPS = 200
LENGTHS = (0.5, 1.0, 2.0, 5.0, 10.0)
TIMES = torch.linspace(0, END, STEPS + 1, dtype=torch.float64)


class ForgottenTail(NamedTuple):
    """gl with a memory of a length, and with all of it.

    Attributes:
        bound: of what the derivative forgets, L^-alpha / Gamma(1 - alpha) times max|y - y0|.
        error: the largest difference between the two.
        products: of weights with values, for both.
    """

    alpha: float
    length: float
    short: np.ndarray
    full: np.ndarray
    exact: np.ndarray
    bound: float
    error: float
    products: tuple[int, int]


@lru_cache(maxsize=128)
def solved(alpha: float, length: float) -> np.ndarray:
    """gl's solution at TIMES; all is remembered for the length END."""
    one = torch.ones(1, dtype=torch.float64)
    y = fdeint(lambda t, y: -y, one, TIMES, alpha, method="gl", memory="short", length=length)
    return y[:, 0].numpy()


def compute(alpha: float, length: float) -> ForgottenTail:
    short = solved(alpha, length)
    full = solved(alpha, END)
    kept = round(length / END * STEPS)
    return ForgottenTail(
        alpha=alpha,
        length=length,
        short=short,
        full=full,
        exact=mittag_leffler(-(TIMES.numpy() ** alpha), alpha),
        bound=length**-alpha / math.gamma(1 - alpha),
        error=float(abs(short - full).max()),
        products=(
            sum(min(n, kept) for n in range(1, STEPS + 1)),
            STEPS * (STEPS + 1) // 2,
        ),
    )


def draw(fig: Figure, data: ForgottenTail) -> None:
    """The curves, and the bound over the length of the memory."""
    left, right = fig.subplots(1, 2, width_ratios=[1.4, 1])
    left.plot(TIMES, data.exact, color=EXACT, linewidth=1.4)
    left.plot(TIMES, data.short, color=VERMILLION)
    left.text(0.97, 0.92, "exact", color=EXACT, transform=left.transAxes, ha="right")
    name = f"with the last {data.length:g} only"
    left.text(0.97, 0.83, name, color=VERMILLION, transform=left.transAxes, ha="right")
    left.set(xlim=(0, END), ylim=(0, 1.05), xlabel="t", ylabel="y")
    left.set_title(f"order {data.alpha:.2f}: forgetting changes y\nby up to {data.error:.4f}")
    lengths = np.array(LENGTHS)
    bounds = lengths**-data.alpha / math.gamma(1 - data.alpha)
    right.loglog(lengths, bounds, "o-", color=GRAY, markersize=4)
    right.loglog(data.length, data.bound, "o", color=BLUE, markersize=8)
    right.set(xlim=(0.4, 25), ylim=(5e-3, 2), xlabel="length of the memory L")
    right.set_ylabel("bound of what is lost")
    right.minorticks_off()
    short, full = data.products
    right.set_title(f"bound {data.bound:.3f},\n{short} products instead of {full}")


def describe(data: ForgottenTail) -> str:
    """What is forgotten, and what it saves."""
    return (
        f"Order {data.alpha:.2f}, memory {data.length:g} of 20: y is off by up to "
        f"{data.error:.4f}, the derivative by up to {data.bound:.3f} times the change of y; "
        f"{data.products[0]} products instead of {data.products[1]}."
    )


forgotten_tail = explorable(
    compute,
    draw,
    describe,
    question="Predict first: for order 0.5, how much less is lost with ten times the memory?",
    size=(8.4, 3.7),
    controls={
        "alpha": slider("order", 0.1, 0.9, value=0.5, step=0.1, format=".1f"),
        "length": choice("memory L", {f"{length:g}": length for length in LENGTHS}, 1.0),
    },
)
