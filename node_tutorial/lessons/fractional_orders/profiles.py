"""Lesson 20: how well each order can explain a relaxation, and which right sides it would need."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...data.mittag_leffler import mittag_leffler
from ...solvers.fractional import caputo, graded

FIRST = 20
RATES = np.geomspace(0.3, 3.0, 241)
TABLE = np.concatenate([[0.0], np.geomspace(1e-4, 100, 160)])


def misfits(alphas: np.ndarray, t: np.ndarray, data: np.ndarray, noise: float) -> np.ndarray:
    """For each order the least sum of squares of (E_alpha(-rate t^alpha) - data)/noise over RATES.

    E_alpha is interpolated in a table, with an error below 1e-3.
    """
    found = []
    for alpha in alphas:
        values = mittag_leffler(-TABLE, float(alpha))
        model = np.interp(RATES[:, None] * t**alpha, TABLE, values)
        found.append((((model - data) / noise) ** 2).sum(1).min())
    return np.array(found)


class Interval(NamedTuple):
    """The best order, and the orders between which the sum of squares is within 4 of the least."""

    best: float
    low: float
    high: float


def interval(alphas: np.ndarray, misfit: np.ndarray) -> Interval:
    """Two standard deviations about the best, if the noise is Gaussian."""
    inside = alphas[misfit < misfit.min() + 4]
    return Interval(float(alphas[misfit.argmin()]), float(inside.min()), float(inside.max()))


def right_side(alpha: float, true_alpha: float, start: float) -> tuple[np.ndarray, np.ndarray]:
    """y and D^alpha y along the solution of D^true_alpha y = -y from a start: f over y, if D^alpha
    y = f(y) is to have this solution.
    """
    mesh = graded(6.0, 400, 3.0)
    y = torch.tensor(start * mittag_leffler(-(mesh.numpy() ** true_alpha), true_alpha))
    # The very first of the straight lines between the times are far off.
    return y[FIRST:].numpy(), caputo(y, mesh, alpha).numpy()[FIRST - 1 :]


def through(y: np.ndarray, f: np.ndarray) -> Callable[[Tensor, Tensor], Tensor]:
    """A right-hand side of t and the state: straight lines through points, y falling."""

    def field(t: Tensor, state: Tensor) -> Tensor:
        return torch.tensor(np.interp(state.numpy(), y[::-1], f[::-1]))

    return field
