"""Lesson 20: how well each order can explain a relaxation, and which right sides it would need."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from ...data.mittag_leffler import mittag_leffler
from ...solvers.errors import SolveError
from ...solvers.fractional import caputo, fdeint, graded

FIRST = 20
RATES = np.geomspace(0.3, 3.0, 241)
TABLE = np.concatenate([[0.0], np.geomspace(1e-4, 100, 160)])
KNOTS = 7
MOST_STEPS = 25  # of Levenberg and Marquardt's method
TINY = 1e-5  # of its difference quotients


def misfits(alphas: np.ndarray, t: np.ndarray, data: np.ndarray, noise: float) -> np.ndarray:
    """For each order the least sum of squares of (E_alpha(-rate t^alpha) - data)/noise, over rates.

    E_alpha is interpolated in a table; between RATES the sum is taken as a parabola.
    """
    found = []
    for alpha in alphas:
        table = CubicSpline(TABLE, mittag_leffler(-TABLE, float(alpha)))
        model = table(RATES[:, None] * t**alpha)
        squares = (((model - data) / noise) ** 2).sum(1)
        k = int(squares.argmin())
        before, at, after = squares[k - 1 : k + 2]
        found.append(at - (after - before) ** 2 / (8 * (before - 2 * at + after)))
    return np.array(found)


class Interval(NamedTuple):
    """The best order, and the orders between which the sum of squares is within 4 of the least."""

    best: float
    low: float
    high: float


def interval(alphas: np.ndarray, misfit: np.ndarray) -> Interval:
    """Two standard deviations about the best, if the noise is Gaussian.

    The ends lie on lines between the orders; where all to one side fit, the last is the end.
    """
    above = misfit - misfit.min() - 4
    inside = np.flatnonzero(above < 0)

    def crossing(within: int, beyond: int) -> float:
        if not 0 <= beyond < len(alphas):
            return float(alphas[within])
        pair = [within, beyond]
        return float(np.interp(0, above[pair], alphas[pair]))

    low, high = crossing(inside[0], inside[0] - 1), crossing(inside[-1], inside[-1] + 1)
    return Interval(float(alphas[misfit.argmin()]), low, high)


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


def free_misfits(
    alphas: np.ndarray, mesh: Tensor, data: Tensor, starts: Tensor, noise: float, first: float = 0.6
) -> np.ndarray:
    """For each order the least sum of squares of (y - data)/noise, where D^alpha y = f(y) with any
    f that is a straight line between KNOTS even values of y: a net of one hidden layer of ReLUs.

    data: (N + 1, S), curves from `starts` (S,) at the times of the mesh (N + 1,).
    first: the order whose fit begins, with f = -y; its neighbors begin with what it found.
    """
    knots = torch.linspace(0, float(starts.max()), KNOTS, dtype=torch.float64)
    middle = int(abs(alphas - first).argmin())
    found = np.zeros(len(alphas))
    for order in (range(middle, len(alphas)), range(middle, -1, -1)):
        f = -knots
        for k in order:
            found[k], f = _fitted(float(alphas[k]), mesh, data, starts, noise, knots, f)
    return found


def _fitted(
    alpha: float,
    mesh: Tensor,
    data: Tensor,
    starts: Tensor,
    noise: float,
    knots: Tensor,
    f: Tensor,
) -> tuple[float, Tensor]:
    """The least sum of squares, and the values of f at the knots, from those of a guess on."""
    damping = 1e-3
    best = math.inf
    shifts = torch.cat([torch.zeros(1, KNOTS), torch.eye(KNOTS)]).to(f)
    for _ in range(MOST_STEPS):
        try:
            y = _curves(alpha, f + TINY * shifts, knots, mesh, starts)
            off = ((y[..., 0] - data) / noise).flatten()
            squares = float(off.square().sum())
        except SolveError:  # an f too steep for the steps
            squares = math.inf
        if squares < best:
            slopes = ((y[..., 1:] - y[..., :1]) / TINY / noise).flatten(0, 1)
            gained = best - squares
            best, kept, push, square = squares, f, slopes.T @ off, slopes.T @ slopes
            damping /= 5
            if gained < 0.01:
                break
        else:
            damping *= 10
        f = kept - torch.linalg.solve(square + damping * (square.diagonal() + 1e-9).diag(), push)
    return best, kept


def _curves(alpha: float, f: Tensor, knots: Tensor, mesh: Tensor, starts: Tensor) -> Tensor:
    """(N + 1, S, P): for each of P right-hand sides, values (P, KNOTS) at the knots."""
    rows = torch.arange(len(f))

    def field(t: Tensor, y: Tensor) -> Tensor:
        k = (torch.searchsorted(knots, y.contiguous()) - 1).clamp(0, KNOTS - 2)
        share = (y - knots[k]) / (knots[k + 1] - knots[k])
        return f[rows, k] * (1 - share) + f[rows, k + 1] * share

    return fdeint(field, starts[:, None].expand(-1, len(f)), mesh, alpha)
