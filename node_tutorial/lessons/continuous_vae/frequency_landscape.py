"""Lesson 11: the misfit as a function of the frequency, and where small steps downhill end, by
horizon, noise and disorder of the times, at once or while the horizon grows.
"""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import slider, toggle
from ...course.explorables import explorable
from ...plotting import BLUE, GRAY, ORANGE, VERMILLION, exact_line
from .misfits import COUNT, END, FREQUENCIES, downhill, misfits, oscillations
from .physics import TRUE, position_weights

FINE = np.linspace(0, END, 500)
GROWING = (2.0, 4.0)  # the horizons before the last

Points = tuple[np.ndarray, np.ndarray]  # times and positions


class Place(NamedTuple):
    """A place in the landscape: a frequency, and its misfit."""

    omega: float
    misfit: float


class Landscape(NamedTuple):
    """The landscape, and the series that is shown.

    points: observations in all; misfit: (605,), of FREQUENCIES; here, end: where steps downhill
    begin and end; way: the horizons on the way, and the frequency that is reached at each; found:
    whether the end is the true frequency within 5 %; minima: valleys in all; observed, later:
    points until the horizon, and after it; fit, exact: positions (500,) at the times FINE of the
    best fit with the frequency `here`, and without noise.
    """

    horizon: float
    noise: float
    omega: float
    disorder: float
    points: int
    misfit: np.ndarray
    here: Place
    end: Place
    way: dict[float, float]
    found: bool
    minima: int
    observed: Points
    later: Points
    fit: np.ndarray
    exact: np.ndarray


def compute(
    horizon: float, omega: float, noise: float, disorder: float, growing: bool
) -> Landscape:
    """The misfit of all frequencies, and the way downhill from omega."""
    t, q, chance, starts, weights = oscillations(disorder)
    x = q + noise * chance
    begin = int(np.abs(FREQUENCIES - omega).argmin())
    place = begin
    way = {}
    for until in [*(h for h in GROWING if growing and h < horizon), horizon]:
        seen = t <= until
        misfit, best = misfits(x, seen, weights)
        place = downhill(misfit, place)
        way[until] = float(FREQUENCIES[place])
    here, end = (Place(float(FREQUENCIES[i]), float(misfit[i])) for i in (begin, place))
    valleys = (misfit[1:-1] < misfit[:-2]) & (misfit[1:-1] < misfit[2:])
    return Landscape(
        horizon,
        noise,
        omega,
        disorder,
        points=int(seen.sum()),
        misfit=misfit,
        here=here,
        end=end,
        way=way,
        found=abs(end.omega / TRUE - 1) < 0.05,
        minima=int(valleys.sum()),
        observed=(t[0, seen[0]], x[0, seen[0]]),
        later=(t[0, ~seen[0]], x[0, ~seen[0]]),
        fit=position_weights(FINE, here.omega) @ best[begin],
        exact=position_weights(FINE, TRUE) @ starts[0],
    )


def draw(fig: Figure, data: Landscape) -> None:
    """The landscape with its two places, and the best fit with the first of them."""
    left, right = fig.subplots(1, 2, width_ratios=[4, 5])
    color = BLUE if data.found else VERMILLION
    _draw_misfit(left, data, color)
    _draw_fit(right, data, color)


def _draw_misfit(ax: Axes, data: Landscape, color: str) -> None:
    ax.axvline(TRUE, color="#BBBBBB", linewidth=0.8)
    ax.plot(FREQUENCIES, data.misfit, color=GRAY, linewidth=1.3)
    ax.plot(*data.here, "o", color=color, markersize=9, markerfacecolor="white", clip_on=False)
    ax.plot(*data.end, "o", color=color, markersize=9, clip_on=False)
    ax.set(xlim=(0, 7.6), xlabel="frequency ω of the model")
    ax.set(ylim=(-0.03, 1.1), ylabel="mean squared misfit")
    horizons = ", ".join(f"{horizon:g}" for horizon in data.way)
    ax.set_title(
        f"{data.points} points in {COUNT} series, noise {data.noise:.1f}\n"
        f"downhill at T = {horizons}: {data.omega:.2f} to {data.end.omega:.2f}"
    )


def _draw_fit(ax: Axes, data: Landscape, color: str) -> None:
    ax.axvspan(0, data.horizon, color="#ECECEC", zorder=0)
    exact_line(FINE, data.exact, ax=ax, label=None)
    ax.plot(FINE, data.fit, color=color, linewidth=1.3)
    ax.plot(*data.observed, "o", color=ORANGE, markersize=5)
    ax.plot(*data.later, "o", color=ORANGE, markersize=5, markerfacecolor="white")
    ax.set(xlim=(-0.3, END + 0.3), ylim=(-3.2, 3.2), xlabel="t", ylabel="q")
    ax.set_title(
        f"best fit with ω = {data.omega:.2f}: misfit {data.here.misfit:.3f}\n(dashed: the truth)"
    )


def describe(data: Landscape) -> str:
    """How many valleys there are, and where the way downhill leads."""
    verdict = "the true one within 5 %" if data.found else "not the true one"
    way = ", then ".join(f"{omega:.2f} (T = {horizon:g})" for horizon, omega in data.way.items())
    return (
        f"T = {data.horizon:g}, noise {data.noise:.1f}, disorder {data.disorder:.1f}: "
        f"{data.minima} valleys; downhill from ω = {data.omega:.2f} one arrives at ω = {way}, "
        f"{verdict}."
    )


frequency_landscape = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: the start is ω = 3. Which horizons T lead downhill to the truth, 1.7?"
    ),
    size=(8.8, 3.9),
    controls={
        "horizon": slider("horizon T", 2.0, END, value=10.0, step=0.5, format=".1f"),
        "omega": slider("start: ω", 0.3, 7.3, value=3.0, step=0.05),
        "growing": toggle("let the horizon grow: 2, 4, T"),
        "noise": slider("noise", 0.0, 0.6, value=0.1, step=0.1, format=".1f"),
        "disorder": slider("disorder of the times", 0.0, 1.0, value=1.0, step=0.1, format=".1f"),
    },
)
