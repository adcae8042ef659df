"""Lesson 06: a state that is solved forward, and backward again from where it ended.

Two equations, both with y(0) = 1. In y' = -lambda (y - cos t) the state follows the cosine, and an
error at T grows by exp(lambda T) on the way back: no tolerance helps for long. In y' = -lambda y
the state grows back as fast as its error: all that gets lost is lost on the way forward, where y
falls below atol.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import odeint_dense

T_END = 2.0


class Equation(NamedTuple):
    """y' = field(lambda, t, y) from y(0) = 1, and the exact y(t) = exact(lambda, t)."""

    field: Callable[[float, Tensor, Tensor], Tensor]
    exact: Callable[[float, Tensor], Tensor]


def _follower(lam: float, t: Tensor) -> Tensor:
    """The solution of y' = -lambda (y - cos t), y(0) = 1."""
    share = lam**2 / (1 + lam**2)
    return share * (torch.cos(t) + torch.sin(t) / lam) + (1 - share) * torch.exp(-lam * t)


EQUATIONS = {
    "y' = -λ (y - cos t)": Equation(lambda lam, t, y: -lam * (y - torch.cos(t)), _follower),
    "y' = -λ y": Equation(lambda lam, t, y: -lam * y, lambda lam, t: torch.exp(-lam * t)),
}
FOLLOWER, DECAY = EQUATIONS


class RoundTrip(NamedTuple):
    """y at times t (201,): the exact one, and the one on the way back from T = 2.

    growth: the error at T, times exp(lambda (T - t)). end_error: |y(T) - exact|, of the way there.
    y0: y(0) on the way back. forward, backward: evaluations.
    """

    equation: str
    lam: float
    rtol: float
    atol: float
    dense: bool
    t: Tensor
    exact: Tensor
    back: Tensor
    growth: Tensor
    end_error: float
    y0: float
    forward: int
    backward: int


def round_trip(
    lam: float,
    rtol: float = 1e-6,
    atol: float | None = None,
    equation: str = FOLLOWER,
    dense: bool = False,
) -> RoundTrip:
    """Solve one of EQUATIONS from y(0) = 1 to T = 2, and back from there.

    atol: rtol / 1000 unless given. dense: read y on the way back from the forward solve, instead of
    solving for it.
    """
    field, exact_solution = EQUATIONS[equation]
    atol = rtol / 1000 if atol is None else atol
    solver: dict[str, Any] = {"rtol": rtol, "atol": atol}

    def f(t: Tensor, y: Tensor) -> Tensor:
        return field(lam, t, y)

    forward = odeint_dense(f, torch.ones(1, dtype=torch.float64), 0.0, T_END, **solver)
    end = torch.as_tensor(forward(T_END))
    backward = odeint_dense(f, end, T_END, 0.0, **solver)
    t = torch.linspace(0, T_END, 201, dtype=torch.float64)
    exact = exact_solution(lam, t)
    back = torch.as_tensor((forward if dense else backward)(t))[:, 0]
    error = float((end[0] - exact[-1]).abs())
    return RoundTrip(
        equation=equation,
        lam=lam,
        rtol=rtol,
        atol=atol,
        dense=dense,
        t=t,
        exact=exact,
        back=back,
        growth=max(error, 1e-17) * torch.exp(lam * (T_END - t)),
        end_error=error,
        y0=float(back[0]),
        forward=forward.stats.nfe,
        backward=0 if dense else backward.stats.nfe,
    )


def there_and_back(solver: Callable[..., Tensor], lam: float) -> float:
    """y(0) as it comes back in y' = -lambda (y - cos t), by any `odeint`, with rtol 1e-6."""

    def f(t: Tensor, y: Tensor) -> Tensor:
        return -lam * (y - torch.cos(t))

    t = torch.tensor([0.0, T_END], dtype=torch.float64)
    tolerance = {"rtol": 1e-6, "atol": 1e-9}
    end = solver(f, torch.ones(1, dtype=torch.float64), t, **tolerance)[-1]
    return float(solver(f, end, t.flip(0), **tolerance)[-1])


def size_of(value: float) -> str:
    """A number as the lesson prints it: large ones differ from one processor to the next.

    >>> size_of(1.00003), size_of(65.4), size_of(4.09e10), size_of(-9.9e9)
    ('1.0000', '65', '4e10', '-1e10')
    """
    if abs(value) < 10:
        return f"{value:.4f}"
    if abs(value) < 1000:
        return f"{value:.0f}"
    digit, power = f"{value:.0e}".split("e")
    return f"{digit}e{int(power)}"
