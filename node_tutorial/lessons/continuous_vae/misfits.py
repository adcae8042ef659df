"""Lesson 11: how well each frequency explains oscillations that were observed until a horizon, each
with its own best start.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .physics import TRUE, best_starts, position_weights

END = 20.0  # the longest horizon
GAP = 0.7  # the mean gap between times
ALIAS = 2 * np.pi / GAP - TRUE  # at the times 0, GAP, 2 GAP, ... the same as TRUE
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


@lru_cache(maxsize=3)
def oscillations(disorder: float) -> Oscillations:
    """The series of the landscape, at times 0, GAP, 2 GAP, ..., each but the first moved at random
    by at most disorder GAP / 2, with disorder from 0 to 1.
    """
    chance = np.random.default_rng(11)
    starts = chance.standard_normal((COUNT, 2))
    noise = chance.standard_normal((COUNT, TIMES))
    starts[0] = (1.0, 0.8)  # the series that is shown
    moved = chance.uniform(-0.5, 0.5, (COUNT, TIMES))
    moved[:, 0] = 0
    t = GAP * (np.arange(TIMES) + disorder * moved)
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


def half_width(horizon: float) -> float:
    """How far the first crest of the misfit is above TRUE, without noise, and with so many times
    until the horizon that more would change nothing.
    """
    t = np.linspace(0, horizon, 400)
    omega = TRUE + np.linspace(0, 9 / horizon, 900)
    weights = position_weights(t, omega[:, None])
    # The mean over starts from N(0, I) is the sum over the starts (1, 0) and (0, 1).
    misfit = sum(best_starts(weights, x)[1] for x in position_weights(t, TRUE).T)
    crest = int((np.diff(misfit) < 0).argmax())
    return float(omega[crest] - TRUE)
