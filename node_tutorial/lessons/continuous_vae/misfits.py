"""Lesson 11: how well each frequency explains oscillations that were observed until a horizon, each
with its own best start.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .physics import TRUE, best_starts, position_weights

END = 20.0  # the longest horizon
GAP = 0.7  # the mean gap between times
TIMES = 29  # from 0 to END
COUNT = 20  # series, each from its own start
FREQUENCIES = np.linspace(0.05, 7.6, 605)


class Oscillations(NamedTuple):
    """Series without noise, and what belongs to them.

    t, q: times and positions (20, 29); chance: standard normal numbers (20, 29), for the noise;
    starts: (20, 2); weights: `position_weights` (20, 605, 29, 2) of all FREQUENCIES.
    """

    t: np.ndarray
    q: np.ndarray
    chance: np.ndarray
    starts: np.ndarray
    weights: np.ndarray


class Misfits(NamedTuple):
    """The mean squared misfit (605,) of each of FREQUENCIES, all series together, and the best
    starts (605, 2) of the first series.
    """

    misfit: np.ndarray
    starts: np.ndarray


@lru_cache(maxsize=2)
def oscillations(times: str) -> Oscillations:
    """The series of the lesson, at "regular" times, every GAP, or at "irregular" ones."""
    chance = np.random.default_rng(11)
    starts = chance.standard_normal((COUNT, 2))
    noise = chance.standard_normal((COUNT, TIMES))
    starts[0] = (1.0, 0.8)  # the series that is shown
    if times == "regular":
        t = np.broadcast_to(np.arange(TIMES) * GAP, (COUNT, TIMES))
    else:
        t = np.sort(chance.uniform(0, END, (COUNT, TIMES)), axis=1)
        t[:, 0] = 0
    q = np.einsum("bti,bi->bt", position_weights(t, TRUE), starts)
    weights = position_weights(t[:, None], FREQUENCIES[:, None])
    return Oscillations(t, q, noise, starts, weights)


def misfits(x: np.ndarray, seen: np.ndarray, weights: np.ndarray) -> Misfits:
    """The misfits to series x (B, T) where they are seen (B, T), with weights (B, W, T, 2)."""
    fits = [best_starts(a[:, s], b[s]) for a, b, s in zip(weights, x, seen)]
    total = sum(s.sum() * misfit for s, (_, misfit) in zip(seen, fits))
    return Misfits(total / seen.sum(), fits[0][0])


def downhill(loss: np.ndarray, start: int) -> int:
    """The place in losses (W,) at which small steps downhill from the place `start` end."""
    place = start
    while True:
        around = range(max(place - 1, 0), min(place + 2, len(loss)))
        best = min(around, key=lambda i: loss[i])
        if loss[best] >= loss[place] - 1e-12:
            return place
        place = best
