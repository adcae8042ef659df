"""Lesson 11: the misfit as a function of the frequency, and the way downhill in small steps, by
horizon, noise and disorder of the times, at once or while the horizon grows.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import play, slider, toggle
from ...course.explorables import explorable
from ...plotting import BLUE, GRAY, ORANGE, VERMILLION, exact_line
from .misfits import COUNT, END, FREQUENCIES, Misfits, downhill, misfits, oscillations
from .physics import TRUE, position_weights

FINE = np.linspace(0, END, 500)
GROWING = (2.0, 4.0)  # the horizons before the last
FRAMES = 31  # of the way downhill
PLACES = np.arange(len(FREQUENCIES))

Points = tuple[np.ndarray, np.ndarray]  # times and positions


class Place(NamedTuple):
    """A place in the landscape: a frequency, and its misfit."""

    omega: float
    misfit: float


class Landscape(NamedTuple):
    """The landscape, and the series that is shown, at one frame of the way downhill.

    points: observations until the present horizon, `until`; misfit: (605,), of FREQUENCIES, with
    these; here, now: where the steps begin, and where they are; way: the horizons, and the
    frequency that is reached at each; end: where they end; found: whether that is the true
    frequency within 5 %; minima: valleys in all, with the last horizon; observed, later: points
    until the present horizon, and after it; fit, exact: positions (500,) at the times FINE of the
    best fit with the frequency `now`, and without noise.
    """

    horizon: float
    noise: float
    omega: float
    disorder: float
    until: float
    points: int
    misfit: np.ndarray
    here: Place
    now: Place
    end: Place
    way: dict[float, float]
    found: bool
    minima: int
    observed: Points
    later: Points
    fit: np.ndarray
    exact: np.ndarray


class Stage(NamedTuple):
    """The steps with one horizon: what is seen (20, 29), its misfits, the places of both ends."""

    until: float
    seen: np.ndarray
    found: Misfits
    begin: int
    end: int


def compute(
    horizon: float,
    omega: float,
    noise: float,
    disorder: float,
    growing: bool,
    frame: int = FRAMES - 1,
) -> Landscape:
    """The misfit of all frequencies, and the way downhill from omega."""
    t, q, chance, starts, _ = oscillations(disorder)
    x = q + noise * chance
    stages = _stages(horizon, omega, noise, disorder, growing)
    done = frame / (FRAMES - 1) * len(stages)  # an equal time for each stage
    number = min(int(done), len(stages) - 1)
    stage = stages[number]
    place = stage.begin + (done - number) * (stage.end - stage.begin)  # also between two
    misfit, best = stage.found
    now = _at(place, misfit)
    last = stages[-1]
    end = _at(last.end, last.found.misfit)
    begun = np.stack([np.interp(place, PLACES, column) for column in best.T])
    seen = stage.seen
    return Landscape(
        horizon,
        noise,
        omega,
        disorder,
        until=stage.until,
        points=int(seen.sum()),
        misfit=misfit,
        here=_at(stages[0].begin, misfit),
        now=now,
        end=end,
        way={stage.until: float(FREQUENCIES[stage.end]) for stage in stages},
        found=abs(end.omega / TRUE - 1) < 0.05,
        minima=_valleys(last.found.misfit),
        observed=(t[0, seen[0]], x[0, seen[0]]),
        later=(t[0, ~seen[0]], x[0, ~seen[0]]),
        fit=position_weights(FINE, now.omega) @ begun,
        exact=position_weights(FINE, TRUE) @ starts[0],
    )


def _at(place: float, misfit: np.ndarray) -> Place:
    """The place in the landscape, also between two frequencies."""
    omega, value = (float(np.interp(place, PLACES, column)) for column in (FREQUENCIES, misfit))
    return Place(omega, value)


def _valleys(misfit: np.ndarray) -> int:
    inner = misfit[1:-1]
    return int(((inner < misfit[:-2]) & (inner < misfit[2:])).sum())


def _stages(
    horizon: float, omega: float, noise: float, disorder: float, growing: bool
) -> list[Stage]:
    """One stage for each horizon, the first from omega on."""
    place = int(np.abs(FREQUENCIES - omega).argmin())
    stages = []
    for until in [*(h for h in GROWING if growing and h < horizon), horizon]:
        seen, found = _misfits(noise, disorder, until)
        end = downhill(found.misfit, place)
        stages.append(Stage(until, seen, found, place, end))
        place = end
    return stages


@lru_cache(maxsize=6)
def _misfits(noise: float, disorder: float, until: float) -> tuple[np.ndarray, Misfits]:
    """What is seen until a horizon, and its misfits; the frames of an animation share them."""
    t, q, chance, _, weights = oscillations(disorder)
    seen = t <= until
    return seen, misfits(q + noise * chance, seen, weights)


def draw(fig: Figure, data: Landscape) -> None:
    """The landscape with start and present place, and the best fit with the present one."""
    left, right = fig.subplots(1, 2, width_ratios=[4, 5])
    color = BLUE if abs(data.now.omega / TRUE - 1) < 0.05 else VERMILLION
    _draw_misfit(left, data, color)
    _draw_fit(right, data, color)


def _draw_misfit(ax: Axes, data: Landscape, color: str) -> None:
    ax.axvline(TRUE, color="#BBBBBB", linewidth=0.8)
    ax.plot(FREQUENCIES, data.misfit, color=GRAY, linewidth=1.3)
    ax.plot(*data.here, "o", color=color, markersize=9, markerfacecolor="white", clip_on=False)
    ax.plot(*data.now, "o", color=color, markersize=9, clip_on=False)
    ax.set(xlim=(0, 7.6), xlabel="frequency ω of the model")
    ax.set(ylim=(-0.03, 1.1), ylabel="mean squared misfit")
    ax.set_title(
        f"T = {data.until:g}: {data.points} points in {COUNT} series\n"
        f"noise {data.noise:.1f}; downhill from {data.omega:.2f} to {data.now.omega:.2f}"
    )


def _draw_fit(ax: Axes, data: Landscape, color: str) -> None:
    ax.axvspan(0, data.until, color="#ECECEC", zorder=0)
    exact_line(FINE, data.exact, ax=ax, label=None)
    ax.plot(FINE, data.fit, color=color, linewidth=1.3)
    ax.plot(*data.observed, "o", color=ORANGE, markersize=5)
    ax.plot(*data.later, "o", color=ORANGE, markersize=5, markerfacecolor="white")
    ax.set(xlim=(-0.3, END + 0.3), ylim=(-3.2, 3.2), xlabel="t", ylabel="q")
    ax.set_title(
        f"best fit with ω = {data.now.omega:.2f}: misfit {data.now.misfit:.3f}\n(dashed: the truth)"
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
        "Predict first, then press play: the start is ω = 3. Which horizons T lead downhill to the "
        "truth, 1.7?"
    ),
    size=(8.8, 3.9),
    controls={
        "horizon": slider("horizon T", 2.0, END, value=10.0, step=0.5, format=".1f"),
        "omega": slider("start: ω", 0.3, 7.3, value=3.0, step=0.05),
        "growing": toggle("let the horizon grow: 2, 4, T"),
        "frame": play("way downhill", FRAMES, value=FRAMES - 1, milliseconds=300),
        "noise": slider("noise", 0.0, 0.6, value=0.1, step=0.1, format=".1f"),
        "disorder": slider("disorder of the times", 0.0, 1.0, value=1.0, step=0.1, format=".1f"),
    },
)
