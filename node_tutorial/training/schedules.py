"""Schedules: what multiplies the learning rate, as functions of the place in a training.

fit(model, loss, 300, schedule=cosine(300))          # the place is the step
fit(model, loss, seconds=10, schedule=cosine())      # the place is the share of the seconds
"""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def cosine(end: float = 1.0) -> Schedule:
    """From 1 at the start to 0 at `end`, along half a wave of the cosine: slow, fast, slow."""
    return lambda place: (1 + math.cos(math.pi * place / end)) / 2


def linear(end: float = 1.0) -> Schedule:
    """From 1 at the start to 0 at `end`, along a line."""
    return lambda place: 1 - place / end
