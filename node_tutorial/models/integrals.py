"""Integrals along the paths of an ODE, solved beside its state: dI/dt = g(t, y, df/dy), I(t_0) = 0.

They are further parts of a tuple state, found in the same evaluations of f. What the integrands
need of the Jacobian comes from `slope_and_products`; `norm_of_first` leaves the integrals out of
the error that chooses the steps, so that these are the same as without them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..solvers.control import largest, rms_norm
from ..solvers.inputs import CALLBACKS
from .trace import products


def slope_and_products(
    func: Callable[[Tensor, Tensor], Tensor],
    t: Tensor,
    y: Tensor,
    vectors: Sequence[Tensor] | Tensor,
) -> tuple[Tensor, list[Tensor]]:
    """f(t, y) (..., D), and e^T df/dy (..., D) for each of the vectors e (..., D).

    For fields of a solve: where it keeps no graph, neither does this, though it differentiates.
    """
    linked = torch.is_grad_enabled()
    with torch.enable_grad():
        y = y if linked and y.requires_grad else y.detach().requires_grad_()
        dy = func(t, y)
    rows = products(dy, y, vectors)
    return dy if linked else dy.detach(), rows


class BesideIntegrals(nn.Module):
    """The field of a state (y, integrals ..) made of a field `func` of y.

    Callbacks of func are called as if there were no integrals: with y alone.
    """

    func: nn.Module

    def __getattr__(self, name: str) -> Any:
        if name in CALLBACKS:
            return partial(_with_first, getattr(self.func, name))
        return super().__getattr__(name)


def _with_first(callback: Callable, t: Tensor, state: tuple[Tensor, ...], h: Tensor) -> None:
    callback(t, state[0], h)


def norm_of_first(n: int, norm: Callable | None) -> Callable:
    """The norm of a tuple state (y, ..) of which only the first n parts count.

    That is `norm`, of the tuple of them, of y itself if n is 1; by default the largest rms.
    """
    return partial(_norm_of_first, n, norm)  # not a lambda: models are pickled


def _norm_of_first(n: int, norm: Callable | None, state: tuple[Tensor, ...]) -> Any:
    if norm is None:
        return largest(map(rms_norm, state[:n]))
    return norm(state[0] if n == 1 else state[:n])
