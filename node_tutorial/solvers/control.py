"""Step-size control: how large is the error, is the step accepted, how long is the next one.

A controller is a function (error_ratio, h, order) -> (accept, factor): the next attempt has size
factor * h. The ratio is the norm of error / (atol + rtol max(|y0|, |y1|)); a step with ratio <= 1
is within the tolerance.
Source: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", II.4 (below HNW I).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from .runge_kutta import Field, stage_times

Norm = Callable[[Tensor], Tensor | float]
Controller = Callable[[float, float, int], tuple[bool, float]]


def rms_norm(x: Tensor) -> float:
    """Root mean square over all entries; 0 for an empty tensor."""
    return torch.linalg.vector_norm(x).item() / math.sqrt(x.numel()) if x.numel() else 0.0


def largest(norms: Iterable[Tensor | float]) -> float:
    """The largest of some norms; NaN if one is NaN (Python's max(0.5, nan) is 0.5)."""
    values = [float(norm) for norm in norms]
    return math.nan if any(map(math.isnan, values)) else max(values)


def integral(safety: float = 0.9, ifactor: float = 10.0, dfactor: float = 0.2) -> Controller:
    """I controller: factor = safety * ratio^(-1/p), from dfactor (after success 1) to ifactor.

    HNW I, (4.13).
    """

    def decide(ratio: float, h: float, order: int) -> tuple[bool, float]:
        if not ratio < math.inf:  # NaN or infinity: f or the state overflowed; shorter may not
            return False, dfactor
        accept = ratio <= 1
        ideal = safety * ratio ** (-1 / order) if ratio > 0 else ifactor
        return accept, min(ifactor, max(ideal, 1.0 if ratio < 1 else dfactor))

    return decide


def proportional_integral(
    safety: float = 0.9,
    ifactor: float = 10.0,
    dfactor: float = 0.2,
    alpha: float = 0.7,
    beta: float = 0.4,
) -> Controller:
    """PI controller: factor = safety * ratio^(-alpha/p) * previous_ratio^(beta/p).

    Smoother step sizes than I, and fewer rejections where stability limits the step. Gustafsson
    1991; HNW II, IV.2.
    """
    previous = 1.0

    def decide(ratio: float, h: float, order: int) -> tuple[bool, float]:
        nonlocal previous
        if not ratio < math.inf:
            return False, dfactor
        accept = ratio <= 1
        ratio = max(ratio, 1e-10)
        if not accept:
            ideal = safety * ratio ** (-1 / order)
            return accept, min(1.0, ifactor, max(ideal, dfactor))
        ideal = safety * ratio ** (-alpha / order) * previous ** (beta / order)
        previous = ratio
        return accept, min(ifactor, max(ideal, dfactor))

    return decide


CONTROLLERS = {"I": integral, "PI": proportional_integral}


@dataclass
class Tolerance:
    """What an adaptive solve is asked for: the error of a step within atol + rtol |y|, in `norm`;
    and the bounds of its steps.
    """

    rtol: float | Tensor = 1e-7
    atol: float | Tensor = 1e-9
    norm: Norm = rms_norm
    first_step: float | None = None
    min_step: float = 0.0
    max_step: float = math.inf

    def scale(self, *states: Tensor) -> Tensor:
        """atol + rtol max |y|: what an error is measured by."""
        largest = states[0].abs()
        for y in states[1:]:
            largest = torch.maximum(largest, y.abs())
        return largest.mul_(self.rtol).add_(self.atol)

    @torch.no_grad()
    def error_ratio(self, error: Tensor, y0: Tensor, y1: Tensor) -> float:
        """|| error / (atol + rtol max(|y0|, |y1|)) ||.

        Reading this number is the one synchronization of a step.
        """
        return abs(float(self.norm(error / self.scale(y0, y1))))


@torch.no_grad()
def initial_step(
    f: Field,
    t: float,
    y: Tensor,
    f0: Tensor,
    direction: int,
    order: int,
    tol: Tolerance,
    room: float,
) -> float:
    """A first step size, from the sizes of y, f and f's change over a tiny Euler step.

    It costs one evaluation, no farther away than `room`. HNW I, II.4, p. 169.
    """
    scale = tol.scale(y)

    def size(x: Tensor) -> float:
        return abs(float(tol.norm(x / scale)))

    d0 = size(y)
    d1 = size(f0)
    h0 = min(1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1, room)
    if not h0 > 0:  # slopes beyond all numbers, or a norm that is NaN; the loop will say so
        return h0
    (t_1,) = stage_times((1.0,), t, direction * h0, y)
    f1 = f(t_1, torch.add(y, f0, alpha=direction * h0))
    d2 = size(f1 - f0) / h0
    if not math.isfinite(d2):
        return h0
    steepest = max(d1, d2)
    h1 = max(1e-6, h0 * 1e-3) if steepest <= 1e-15 else (0.01 / steepest) ** (1 / order)
    return min(100 * h0, h1)
