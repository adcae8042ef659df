"""Lesson 11: how well each frequency explains a series, by horizon, noise and kind of times."""

from functools import lru_cache

import numpy as np

from ...course.controls import choice, slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, GRAY, ORANGE, VERMILLION, exact_line
from .physics import TRUE, best_starts, position_weights

END, GAP = 20.0, 0.7  # the longest horizon; the mean gap between times
COUNT = 20  # series, each from its own start
_GRID = np.linspace(0.05, 7.6, 605)
TIMES = {"irregular": "irregular", f"every {GAP:g}": "regular"}


@lru_cache(maxsize=2)
def observations(kind):
    """Times (20, 29) from 0 to 20, positions there (20, 29), standard normal numbers for the noise,
    starts (20, 2).

    Last, the weights (20, 605, 29, 2) of all frequencies.
    """
    chance = np.random.default_rng(11)
    n = int(END / GAP + 1e-9) + 1
    start, noise = chance.standard_normal((COUNT, 2)), chance.standard_normal((COUNT, n))
    start[0] = (1.0, 0.8)  # the series that is shown
    irregular = np.sort(chance.uniform(0, END, (COUNT, n)), axis=1)
    irregular[:, 0] = 0
    t = np.broadcast_to(np.arange(n) * GAP, (COUNT, n)) if kind == "regular" else irregular
    q = np.einsum("bti,bi->bt", position_weights(t, TRUE), start)
    return t, q, noise, start, position_weights(t[:, None], _GRID[:, None])


def downhill(loss, start):
    """The place in a list of losses at which small steps downhill from place `start` end."""
    place = start
    while True:
        around = range(max(place - 1, 0), min(place + 2, len(loss)))
        best = min(around, key=lambda i: loss[i])
        if loss[best] >= loss[place] - 1e-12:
            return place
        place = best


@explorable("11", "frequency_landscape")
def frequency_landscape():
    """The misfit as a function of the frequency, each with its best start, and where small steps
    downhill end.
    """

    def compute(horizon, omega, noise, times):
        t, q, e, true, weights = observations(times)
        x, seen = q + noise * e, t <= horizon
        fits = [best_starts(a[:, s], b[s]) for a, b, s in zip(weights, x, seen)]
        loss = sum(s.sum() * misfit for s, (_, misfit) in zip(seen, fits)) / seen.sum()
        here = int(np.abs(_GRID - omega).argmin())
        end = downhill(loss, here)
        fine = np.linspace(0, END, 500)
        return {
            "setting": f"T = {horizon:g}, noise {noise:.1f}, {int(seen.sum())} points in {COUNT} series",
            "omega": omega,
            "curve": (_GRID, loss),
            "here": (_GRID[here], loss[here]),
            "end": (float(_GRID[end]), float(loss[end])),
            "found": bool(abs(_GRID[end] / TRUE - 1) < 0.05),
            "minima": int(((loss[1:-1] < loss[:-2]) & (loss[1:-1] < loss[2:])).sum()),
            "points": (t[0, seen[0]], x[0, seen[0]]),
            "unseen": (t[0, ~seen[0]], x[0, ~seen[0]]),
            "horizon": horizon,
            "fit": (fine, position_weights(fine, _GRID[here]) @ fits[0][0][here]),
            "exact": (fine, position_weights(fine, TRUE) @ true[0]),
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[4, 5])
        color = BLUE if data["found"] else VERMILLION
        left.axvline(TRUE, color="#BBBBBB", linewidth=0.8)
        left.plot(*data["curve"], color=GRAY, linewidth=1.3)
        left.plot(
            *data["here"], "o", color=color, markersize=9, markerfacecolor="white", clip_on=False
        )
        left.plot(*data["end"], "o", color=color, markersize=9, clip_on=False)
        left.set(
            xlim=(0, 7.6),
            ylim=(-0.03, 1.1),
            xlabel="frequency ω of the model",
            ylabel="mean squared misfit",
        )
        left.set_title(
            f"{data['setting']}\ndownhill from {data['omega']:.2f} to {data['end'][0]:.2f}"
        )
        right.axvspan(0, data["horizon"], color="#ECECEC", zorder=0)
        exact_line(*data["exact"], ax=right, label=None)
        right.plot(*data["fit"], color=color, linewidth=1.3)
        right.plot(*data["points"], "o", color=ORANGE, markersize=5)
        right.plot(*data["unseen"], "o", color=ORANGE, markersize=5, markerfacecolor="white")
        right.set(xlim=(-0.3, END + 0.3), ylim=(-3.2, 3.2), xlabel="t", ylabel="q")
        right.set_title(
            f"best fit with ω = {data['omega']:.2f}: misfit {data['here'][1]:.3f}\n(dashed: the "
            "truth)"
        )

    def describe(data):
        verdict = "the true one within 5 %" if data["found"] else "not the true one"
        return (
            f"{data['setting']}: {data['minima']} valleys; downhill from ω = {data['omega']:.2f} "
            "one arrives at "
            f"ω = {data['end'][0]:.2f}, {verdict}."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.8, 3.9),
        question="Predict first: the start is ω = 3. Which horizons T lead downhill to the truth, 1.7?",
        controls={
            "horizon": slider("horizon T", 2.0, END, value=10.0, step=0.5, format=".1f"),
            "omega": slider("ω of the model", 0.3, 7.3, value=3.0, step=0.05),
            "noise": slider("noise", 0.0, 0.6, value=0.1, step=0.1, format=".1f"),
            "times": choice("times", TIMES),
        },
    )
