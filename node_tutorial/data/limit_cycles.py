"""Limit cycles, and oscillators that lock to each other: fields f(t, y) with their exact answers.

Van der Pol's oscillator, whose cycle has no formula, stands in `systems.py`; `cycle_of` measures
it. As there, the last axis of y holds the components.

Source: Strogatz, "Nonlinear Dynamics and Chaos", 2nd ed., sections 7.1, 8.2, 8.6.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from .systems import van_der_pol

TURN = 2 * math.pi


def center(t: float | Tensor, y: Tensor, omega: float = TURN) -> Tensor:
    """y1' = -omega y2, y2' = omega y1: every circle is a path; y (..., 2)."""
    return omega * torch.stack([-y[..., 1], y[..., 0]], -1)


def hopf(t: float | Tensor, y: Tensor, mu: float = 1.0, omega: float = TURN) -> Tensor:
    """z' = (mu + i omega - |z|^2) z for z = y1 + i y2: one circle, of radius sqrt(mu), draws all
    paths to itself; y (..., 2).
    """
    return center(t, y, omega) + (mu - y.square().sum(-1, keepdim=True)) * y


def euler_cycle(h: float, omega: float = TURN, mu: float = 1.0) -> float:
    """The radius of the circle on which Euler's steps of size h stay, for `hopf`.

    A step multiplies z by 1 + h (mu + i omega - r^2); on the circle that has the absolute value 1.

    Raises:
        ValueError: unless 0 < h omega <= 1. For longer steps there is no such circle.

        >>> round(euler_cycle(0.1), 6)
        1.794558
    """
    if not 0 < h * omega <= 1:
        raise ValueError(
            f"h * omega must be positive and at most 1, got {h * omega:g}: with longer steps no "
            f"circle is kept; take h below {1 / omega:.3g}"
        )
    return math.sqrt(mu + (1 - math.sqrt(1 - (h * omega) ** 2)) / h)


class Cycle(NamedTuple):
    """A limit cycle in the plane.

    Attributes:
        period: in units of time.
        amplitude: the largest y1.
        log_multiplier: log of the factor by which a small distance from it changes in one turn;
            negative where it draws paths to itself.
    """

    period: float
    amplitude: float
    log_multiplier: float


def cycle_of(
    field: Callable[[float, Tensor], Tensor],
    divergence: Callable[[Tensor], Tensor],
    start: tuple[float, float],
    settle: float = 100.0,
) -> Cycle:
    """Measure the cycle to which the path from `start` is drawn, by scipy's DOP853.

    Args:
        field: (t, y) -> dy/dt, y (2,).
        divergence: y (2,) -> the trace of the field's Jacobian, 0-d; its integral over a turn is
            log_multiplier (Liouville's formula).
        settle: the time after which the path counts as on the cycle.

    Raises:
        ValueError: if y1 has no two maxima in the same time again.
    """

    def slopes(t: float, y: np.ndarray) -> np.ndarray:
        state = torch.from_numpy(y[:2].copy())
        return np.append(field(t, state).numpy(), float(divergence(state)))

    def top(t: float, y: np.ndarray) -> float:
        return float(field(t, torch.from_numpy(y[:2].copy()))[0])

    top.direction = -1  # type: ignore[attr-defined]
    how = {"method": "DOP853", "rtol": 1e-11, "atol": 1e-12}
    there = solve_ivp(slopes, (0, settle), (*start, 0.0), **how).y[:, -1]
    found = solve_ivp(slopes, (0, settle), np.append(there[:2], 0.0), events=top, **how)
    times, states = found.t_events[0], found.y_events[0]
    if len(times) < 2:
        raise ValueError(
            f"y1 has {len(times)} maxima between the times {settle:g} and {2 * settle:g}, and a "
            "cycle takes two; start elsewhere, or give a longer settle"
        )
    return Cycle(
        float(times[1] - times[0]),
        float(states[1, 0]),
        float(states[1, 2] - states[0, 2]),
    )


def van_der_pol_cycle(mu: float) -> Cycle:
    """That of `systems.van_der_pol`; for mu from 0.3 to 10."""
    return cycle_of(
        partial(van_der_pol, mu=mu), lambda y: mu * (1 - y[0] ** 2), (2.0, 0.0), settle=60.0
    )


def two_phases(
    t: float | Tensor, phases: Tensor, left: float, right: float, coupling: float
) -> Tensor:
    """Two oscillators that pull at each other, phases (..., 2) in radians:

        left phase'  = left + coupling sin(right phase - left phase),   and the other way round

    Their difference d, left less right, obeys d' = (left - right) - 2 coupling sin d. A positive
    coupling draws them together, a negative one apart, to opposite phases.
    """
    pull = coupling * torch.sin(phases[..., 1] - phases[..., 0])
    return torch.stack([left + pull, right - pull], -1)


class Lock(NamedTuple):
    """Attributes: difference: d at which they stay, in [0, 2 pi); rate: of the return to it."""

    difference: float
    rate: float


def lock_of(detuning: float, coupling: float) -> Lock | None:
    """Where `two_phases` stay, for detuning = left - right; None if |detuning| >= 2 |coupling|.

    >>> lock = lock_of(0.5, 0.4)
    >>> round(lock.difference, 6), round(lock.rate, 6), lock_of(0.5, 0.2)
    (0.675132, 0.6245, None)
    """
    if abs(detuning) >= 2 * abs(coupling):
        return None
    d = math.asin(detuning / (2 * coupling))
    difference = d if coupling > 0 else math.pi - d
    return Lock(difference % TURN, math.sqrt(4 * coupling**2 - detuning**2))


def drift_period(detuning: float, coupling: float) -> float:
    """The time in which `two_phases` that do not lock gain a turn on each other.

    Raises:
        ValueError: where they lock.

        >>> round(drift_period(0.5, 0.2), 6)
        20.943951
    """
    if abs(detuning) <= 2 * abs(coupling):
        raise ValueError(
            f"|detuning| must be larger than 2 |coupling| = {2 * abs(coupling):g}, got "
            f"{detuning:g}: these lock, see lock_of"
        )
    return TURN / math.sqrt(detuning**2 - 4 * coupling**2)
