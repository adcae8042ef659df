"""Schedules: what multiplies the learning rate, as functions of the place in a training.

The place is the step, or with a budget of seconds the share of it that is used:

    fit(model, loss, 300, schedule=cosine(300))
    fit(model, loss, seconds=10, schedule=cosine())
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
