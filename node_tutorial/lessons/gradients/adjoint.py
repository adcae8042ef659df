"""Lesson 06: the adjoint of x' = theta x, which jumps at observations."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ... import odeint_dense

T_END = 2.0
X0 = 1.5  # x(0) of the adjoint's problem


class Jump(NamedTuple):
    """The adjoint at an observation, as it is met on the way from T to 0."""

    time: float
    before: float
    after: float


class Adjoint(NamedTuple):
    """The adjoint of a loss at n observations, solved and exact.

    t, x: the solution (121,). times, x_at, targets: the observations, what x is there and what
    was observed (n,). pieces, exact: times and values (s,) of a between two observations, solved
    and in closed form. gradient: dL/dx(0); nfe: evaluations on the way back.
    """

    theta: float
    adds: bool
    t: Tensor
    x: Tensor
    times: list[float]
    x_at: list[float]
    targets: list[float]
    pieces: list[tuple[Tensor, Tensor]]
    jumps: list[Jump]
    exact: list[tuple[Tensor, Tensor]]
    gradient: float
    exact_gradient: float
    nfe: int

    def at(self, t: float) -> float:
        """The solved adjoint at a time; where it jumps, as it arrives there from later times."""
        pieces = iter(self.pieces)  # from T to 0
        times, values = next(pieces)
        while float(times[-1]) > t:
            times, values = next(pieces)
        return float(np.interp(t, times.flip(0), values.flip(0)))


def target(t: float) -> float:
    """What was observed at time t."""
    return 1 + 0.6 * math.cos(3 * t)


def adjoint_data(theta: float, times: Iterable[float], adds: bool = True) -> Adjoint:
    """The adjoint of L = sum of (x(t_i) - d_i)^2 / 2 for x' = theta x, x(0) = 1.5.

    a(t) is solved from each observation to the one before, and to t = 0 at last.

    times: of the observations, in (0, 2].
    adds: whether an observation adds its g_i to a, as it must, or overwrites a.
    """
    times = sorted(times)
    x_at = [X0 * math.exp(theta * s) for s in times]
    targets = [target(s) for s in times]
    g = [x - d for x, d in zip(x_at, targets)]
    a = 0.0
    nfe = 0
    pieces = []
    jumps = []
    for end, start, g_i in zip(reversed(times), [*reversed(times[:-1]), 0.0], reversed(g)):
        before = a
        a = a + g_i if adds else g_i
        jumps.append(Jump(end, before, a))
        if end > start:  # two observations may be at one time
            y = torch.tensor([a], dtype=torch.float64)
            solved = odeint_dense(lambda t, a: -a * theta, y, end, start, rtol=1e-8, atol=1e-10)
            s = torch.linspace(end, start, 2 + int(40 * (end - start)), dtype=torch.float64)
            values = torch.as_tensor(solved(s))[:, 0]
            pieces.append((s, values))
            a = float(values[-1])
            nfe += solved.stats.nfe
    t = torch.linspace(0, T_END, 121, dtype=torch.float64)
    return Adjoint(
        theta=theta,
        adds=adds,
        t=t,
        x=X0 * torch.exp(theta * t),
        times=times,
        x_at=x_at,
        targets=targets,
        pieces=pieces,
        jumps=jumps,
        exact=_exact_adjoint(theta, times, g),
        gradient=a,
        exact_gradient=sum(g_i * math.exp(theta * s) for g_i, s in zip(g, times)),
        nfe=nfe,
    )


def _exact_adjoint(theta: float, times: list[float], g: list[float]) -> list[tuple[Tensor, Tensor]]:
    """Between observations, dL/dx(t) = sum of g_i exp(theta (t_i - t)) over those ahead."""
    pieces = []
    for start, end in zip([0.0, *times[:-1]], times):
        s = torch.linspace(start, end, 40, dtype=torch.float64)
        a = torch.zeros_like(s)
        for t_i, g_i in zip(times, g):
            if t_i >= end:
                a = a + g_i * torch.exp(theta * (t_i - s))
        pieces.append((s, a))
    return pieces
