"""Lesson 15: the trace of a stored field, exact, and how far Hutchinson's estimate of it is off."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ... import solve
from ...data.densities import two_moons
from ...models import TimedMLP
from .runs import stored_field

POINTS = 40  # of the moons


@lru_cache(maxsize=1)
def moons_field() -> TimedMLP:
    """The stored field of the moons, in float64."""
    return stored_field("moons")


def jacobian(func: TimedMLP, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The field (B, 2) of a net with two hidden layers, and its Jacobian (B, 2, 2), by a formula.

    With the weights A, B, C, and D = diag(1 - tanh^2) of each hidden layer, it is C D2 B D1 A.
    """
    first, second, last = func.layers
    a, b, c = (layer.slope(t) for layer in func.layers)  # type: ignore[operator]
    one = torch.tanh(first(t, y))
    two = torch.tanh(second(t, one))
    inner = b @ ((1 - one * one).unsqueeze(-1) * a)
    return last(t, two), c @ ((1 - two * two).unsqueeze(-1) * inner)


class Exact(NamedTuple):
    """What is exact for POINTS points that are moved from the data back to the noise.

    x (N, 2) are the points; total (N, 2, 2) is the integral of the Jacobian along their paths, and
    log_det (N,) its trace; trace (101,) is that of the Jacobian at the first point at the times
    (101,).
    """

    x: Tensor
    total: Tensor
    log_det: Tensor
    times: np.ndarray
    trace: np.ndarray


@lru_cache(maxsize=1)
def exact() -> Exact:
    """By a tight solve, with the Jacobian by its formula."""
    func = moons_field()
    x = two_moons().sample(POINTS, torch.Generator().manual_seed(5)).double()
    times = torch.linspace(1, 0, 101, dtype=torch.float64)

    def field(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return jacobian(func, t, state[0])

    y, integral = solve(field, (x, x.new_zeros(POINTS, 2, 2)), times, rtol=1e-7, atol=1e-7).y
    trace = [float(jacobian(func, t, state[:1])[1][0].trace()) for t, state in zip(times, y)]
    total = integral[-1]
    log_det = total.diagonal(dim1=1, dim2=2).sum(1)
    return Exact(x, total, log_det, times.numpy(), np.array(trace))


def spread(noise: str, probes: int) -> float:
    """The root mean square over the points of the error of log p, where the noise is kept.

    The error is that of e^T S e for the symmetric part S of the integral of the Jacobian. Its
    variance is 2 |S|_F^2 for Gaussian e; for random signs the diagonal adds none of that.
    """
    J = exact().total
    S = (J + J.transpose(1, 2)) / 2
    variance = 2 * S.square().sum((1, 2))
    if noise == "rademacher":
        variance = variance - 2 * S.diagonal(dim1=1, dim2=2).square().sum(1)
    return math.sqrt(float(variance.mean()) / probes)
