"""Lesson 20: its figures. They are drawn from what the lesson computed, and return it."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ...data.mittag_leffler import mittag_leffler
from ...plotting import BLUE, EXACT, GRAY, VERMILLION, Picture, blank, label_line
from .two_pasts import FRAMES, TwoPasts
from .two_pasts import compute as two_pasts
from .two_pasts import draw as draw_two_pasts

ALPHAS = (0.3, 0.5, 0.7, 0.9, 1.0)
SHADES = ("#9ECAE1", "#6BAED6", "#3182BD", "#08519C", EXACT)


def relaxations() -> Picture:
    """E_alpha(-t^alpha) of five orders, on linear and on logarithmic axes."""
    fig = blank((8.4, 3.7))
    left, right = fig.subplots(1, 2)
    t = np.linspace(0, 6, 301)
    late = np.geomspace(1e-2, 100, 201)
    for alpha, color in zip(ALPHAS, SHADES):
        left.plot(t, mittag_leffler(-(t**alpha), alpha), color=color)
        y = mittag_leffler(-(late**alpha), alpha)
        right.loglog(late, y, color=color)
        seen = np.flatnonzero(y > 1.5e-4)[-1]
        right.text(late[seen] * 1.15, y[seen], f"{alpha:g}", color=color, va="center", fontsize=9.5)
    left.set(xlim=(0, 6), ylim=(0, 1.02), xlabel="t", ylabel="y")
    left.set_title("a fast start, a slow end")
    right.set(xlim=(1e-2, 260), ylim=(1e-4, 2), xlabel="t")
    right.set_title("the exponential (1) falls off a cliff")
    right.minorticks_off()
    return fig


def restarts(t: ArrayLike, whole: ArrayLike, again: Mapping[float, ArrayLike]) -> Picture:
    """A solution, and what comes of it if it is started anew at some times.

    again: {time: values from there on, at the times of t that are left}.
    """
    t = np.asarray(t)
    fig = blank((7.2, 3.4))
    ax = fig.subplots()
    ax.plot(t, np.asarray(whole), color=EXACT)
    for time, values in again.items():
        left = t >= time - 1e-9
        ax.plot(t[left], np.asarray(values), color=VERMILLION)
        ax.plot(time, np.asarray(values)[0], "o", color=VERMILLION)
    ax.text(0.97, 0.92, "one solve", color=EXACT, transform=ax.transAxes, ha="right")
    ax.text(0.97, 0.83, "started anew", color=VERMILLION, transform=ax.transAxes, ha="right")
    ax.set(xlim=(0, t[-1]), ylim=(0, 1.03), xlabel="t", ylabel="y")
    ax.set_title("From each dot on, the past is forgotten")
    return fig


def parted(data: TwoPasts) -> Picture:
    """Two pasts with one present, as in the explorable, up to the end."""
    fig = blank((7.2, 3.4))
    draw_two_pasts(fig, data)
    return fig


def fits(found: Mapping[str, tuple[ArrayLike, ArrayLike]], truth: float) -> Picture:
    """How much the sum of squares is above its least, over the order.

    found: {what is fitted to what: (orders, sums of squares)}.
    """
    fig = blank((7.2, 3.4))
    ax = fig.subplots()
    ax.axhline(4, color=GRAY, linewidth=1)
    name = "two standard deviations"
    ax.text(0.01, 4.6, name, color=GRAY, fontsize=9.5, transform=ax.get_yaxis_transform())
    for (name, (alphas, values)), color in zip(found.items(), (BLUE, VERMILLION, EXACT)):
        above = np.asarray(values) - np.min(values)
        shown = above < 29
        line = ax.plot(np.asarray(alphas)[shown], above[shown], color=color)[0]
        label_line(line, name)
    ax.axvline(truth, color=GRAY, linewidth=1, linestyle=(0, (5, 3)))
    ax.text(truth, 30, " true order", color=GRAY, fontsize=9.5)
    ax.set(ylim=(0, 32), xlabel="order in the model", ylabel="sum of squares, above its least")
    ax.set_title("Orders that fit are below the line")
    return fig


def right_sides(
    found: Mapping[float, Sequence[tuple[np.ndarray, np.ndarray]]], truth: float
) -> Picture:
    """For each order, D^alpha y over y along two solutions: f, if there is one f for both."""
    fig = blank((8.4, 3.2))
    axes = fig.subplots(1, len(found), sharey=True)
    for ax, (alpha, curves) in zip(axes, found.items()):
        for (y, slope), color, width in zip(curves, (BLUE, VERMILLION), (3.6, 1.8)):
            ax.plot(y, slope, color=color, linewidth=width)
        ax.set(xlim=(0, 2.05), ylim=(-2.6, 0.1), xlabel="y")
        ax.set_title(f"order {alpha:g}" + (" (true)" if alpha == truth else ""))
    axes[0].set_ylabel("derivative of that order")
    for place, (start, color) in enumerate(
        (("from y(0) = 1", BLUE), ("from y(0) = 2", VERMILLION))
    ):
        at = {"x": 0.05, "y": 0.16 - 0.1 * place}
        axes[0].text(s=start, fontsize=9.5, color=color, transform=axes[0].transAxes, **at)
    return fig


def _exact(alpha: float, start: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    t = np.linspace(0, 3, 61)
    return t, start * mittag_leffler(-(t**alpha), alpha)


def _example_fits() -> Picture:
    alphas = np.linspace(0.3, 0.9, 31)
    bowl = 400 * (alphas - 0.6) ** 2
    return fits(
        {"early": (alphas, 1.2 * bowl), "late": (alphas, bowl), "all": (alphas, 2 * bowl)}, 0.6
    )


EXAMPLES = {
    "relaxations": relaxations,
    "restarts": lambda: restarts(
        np.linspace(0, 3, 61), _exact(0.5)[1], {1.0: 0.43 * _exact(0.5)[1][:41]}
    ),
    "parted": lambda: parted(two_pasts(0.5, -0.5, FRAMES - 1)),
    "fits": _example_fits,
    "right_sides": lambda: right_sides(
        {
            alpha: [(_exact(0.6, s)[1], -_exact(0.6, s)[1]) for s in (1.0, 2.0)]
            for alpha in ALPHAS[:4]
        },
        0.7,
    ),
}
