"""Lesson 12: how well a spiral can be continued, by regression: no net, nothing to train.

A piece that runs inward from the angle theta_0 has, about the center, the angle and the radius

    theta(t) = theta_0 - t  (or its mirror image),     r = 0.3 theta

so both are straight lines in time (see `data.two_spirals`).
"""

import torch
from torch import Tensor

from .runs import errors
from .spirals import Data

RISE = 0.3  # of the radius with the angle: r = RISE theta
STARTS = 200  # of theta_0 that are tried, before Newton's method goes on from the best
NEWTON = 10


def least_squares(data: Data) -> Tensor:
    """The points beyond (B, S, 2), in float64, of the spiral that fits best.

    The family is known: only the angle theta_0 at which a piece begins, and the sense of rotation,
    are found from what was observed (mask and padding are not needed here, and not read).
    """
    t = data.batch.t.double()
    x = data.batch.x.double()
    later = data.spirals.later.double()
    first = float(later[-1])  # a piece does not reach the center: theta_0 is not below
    best = []
    for sense in (1.0, -1.0):
        trials = torch.linspace(first, first + 16, STARTS, dtype=torch.float64)
        misfit = [_misfit(_spiral(trial, sense, t), x) for trial in trials]
        theta = trials[torch.stack(misfit).argmin(0)][:, None]
        for _ in range(NEWTON):  # Gauss-Newton steps in theta_0
            slope = _slope(theta, sense, t)
            left = x - _spiral(theta, sense, t)
            theta = theta + ((slope * left).sum((1, 2)) / slope.square().sum((1, 2)))[:, None]
        best.append((_misfit(_spiral(theta, sense, t), x), _spiral(theta, sense, later)))
    (one, ahead), (other, back) = best
    return torch.where((one < other)[:, None, None], ahead, back)


def two_lines(data: Data) -> Tensor:
    """The points beyond (B, S, 2), in float64: radius and angle about the center as straight lines
    in time, each fitted by itself, in closed form.
    """
    t = data.batch.t.double()
    x = data.batch.x.double()
    later = data.spirals.later.double()
    angle = torch.atan2(x[..., 1], x[..., 0])
    turn = torch.remainder(angle.diff(dim=1) + torch.pi, 2 * torch.pi) - torch.pi
    angle = torch.cat([angle[:, :1], angle[:, :1] + turn.cumsum(1)], 1)
    radius = _line(t, x.norm(dim=2), later)
    angle = _line(t, angle, later)
    return radius[..., None] * torch.stack([angle.cos(), angle.sin()], -1)


def rmse(x: Tensor, data: Data) -> float:
    """The root mean square error of the points beyond, x (B, S, 2)."""
    return errors(x, data.spirals.clean[:, -x.shape[1] :]).square().mean().sqrt().item()


def _spiral(theta: Tensor, sense: float, t: Tensor) -> Tensor:
    """Inward from theta (B, 1) or 0-d, at t."""
    angle = theta - t
    return RISE * angle[..., None] * torch.stack([angle.cos(), sense * angle.sin()], -1)


def _slope(theta: Tensor, sense: float, t: Tensor) -> Tensor:
    """The derivative of `_spiral` with theta."""
    angle = (theta - t)[..., None]
    along = torch.cat([angle.cos(), sense * angle.sin()], -1)
    across = torch.cat([-angle.sin(), sense * angle.cos()], -1)
    return RISE * (along + angle * across)


def _misfit(path: Tensor, x: Tensor) -> Tensor:
    return (path - x).square().sum((1, 2))


def _line(t: Tensor, y: Tensor, later: Tensor) -> Tensor:
    """The line of least squares through y (B, T) at t (B, T), at the times later (S,)."""
    t_mean = t.mean(1, keepdim=True)
    y_mean = y.mean(1, keepdim=True)
    over = t - t_mean
    slope = (over * (y - y_mean)).sum(1, keepdim=True) / over.square().sum(1, keepdim=True)
    return y_mean + slope * (later - t_mean)
