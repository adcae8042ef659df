"""Adams methods: linear multistep, they use slopes of past steps again instead of new stages.

Explicit (Adams-Bashforth): y1 = y + integral over the step of the polynomial through the last m
slopes. Implicit (Adams-Moulton): the polynomial goes through the new slope too; solved by
functional iteration from the explicit prediction. The first two steps are Runge-Kutta steps (order
4).
Source: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", III.1 and, for unequal
steps, III.5.
"""

import warnings
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..options import GRID
from ..runge_kutta import Field, RungeKutta, Step, Time, WeightedSum, stage_times, time_tensor
from ..tableaus import RK4
from .method import Method, Setup

# Nodes and weights of a Gauss rule, exact up to degree 13.
_X, _G = (values.tolist() for values in np.polynomial.legendre.leggauss(7))


def quadrature_weights(nodes: Sequence[Any]) -> list[Any]:
    """Weights w with integral_0^1 p(x) dx = sum_j w_j p(nodes_j), p of degree below len(nodes).

    The nodes are floats, or 0-d tensors where gradients are wanted. Integrals of the Lagrange
    polynomials, by a Gauss rule that is exact for them: stable for unequal nodes too, unlike a
    Vandermonde system. At most 14 nodes.
    """
    weights = []
    for j, n_j in enumerate(nodes):
        total = 0.0
        for x, g in zip(_X, _G, strict=True):
            basis = g / 2
            for k, n_k in enumerate(nodes):
                if k != j:
                    basis = basis * ((x + 1) / 2 - n_k) / (n_j - n_k)
            total = total + basis
        weights.append(total)
    return weights


_cached_weights = lru_cache(maxsize=256)(quadrature_weights)


class Adams:
    """Adams-Bashforth, or with `correct` Adams-Bashforth-Moulton, with all the slopes of max_order.

    Args:
        correct: the explicit prediction, by functional iteration.
        rtol, atol: when that iteration has converged.
        max_iters: its iterations at most; beyond, a warning.
        max_order: how many slopes a step combines at most, the new one of the implicit method
            included; from 4 to 12. More slopes are more accurate and less stable: with all 12, the
            explicit method blows up on a plain rotation with 200 steps a turn, where 6 is fine. (12
            is torchdiffeq's default.)
    """

    order = 4

    def __init__(
        self,
        correct: bool,
        rtol: float | Tensor,
        atol: float | Tensor,
        max_iters: int = 4,
        max_order: int = 12,
    ) -> None:
        if not 4 <= max_order <= 12:
            raise ValueError(
                f"options['max_order'] must be from 4 to 12 for Adams methods, got {max_order}"
            )
        self.correct = correct
        self.rtol = rtol
        self.atol = atol
        self.max_iters = max_iters
        self.warned = False  # once a solve
        # (t, slope), newest first
        self.past: deque[tuple[Time, Tensor]] = deque(maxlen=max_order - 1)
        self.start = RungeKutta(RK4)

    def step(
        self,
        f: Field,
        t: Time,
        y: Tensor,
        h: Time,
        f0: Tensor | None = None,
        before_end: bool = False,
    ) -> Step:
        f0 = f(time_tensor(t, y), y) if f0 is None else f0
        self.past.appendleft((t, f0))
        if len(self.past) < 3:
            return self.start.step(f, t, y, h, f0, before_end)
        slopes = [slope for _, slope in self.past]
        nodes = [_snap((s - t) / h) for s, _ in self.past]
        y1 = _advance(y, h, nodes, slopes)
        if self.correct:
            y1 = self._corrected(f, t, y, h, y1, nodes, slopes, before_end)
        return Step(t, h, y, y1, None, None, [f0])

    def _corrected(
        self,
        f: Field,
        t: Time,
        y: Tensor,
        h: Time,
        y1: Tensor,
        nodes: list,
        slopes: list,
        before_end: bool,
    ) -> Tensor:
        (t1,) = stage_times((1.0,), t, h, y, before_end)
        for _ in range(self.max_iters):
            before = y1
            y1 = _advance(y, h, [1.0, *nodes], [f(t1, y1), *slopes])
            with torch.no_grad():
                change = (y1 - before).abs()
                scale = torch.maximum((y1 - y).abs(), (before - y).abs())
                if (change < self.atol + self.rtol * scale).all():
                    return y1
        self.past.pop()  # a lower order next time
        if self.warned:
            return y1
        self.warned = True
        warnings.warn(
            "implicit_adams: functional iteration did not converge in max_iters = "
            f"{self.max_iters} at t = {float(t):.6g}; the solution may be inaccurate. Try a "
            "smaller step_size, a larger rtol, or options={'max_iters': ...}.",
            stacklevel=2,
        )
        return y1


def _advance(y: Tensor, h: Time, nodes: list, slopes: list[Tensor]) -> Tensor:
    """y + h times the integral over the step of the polynomial through the slopes at the nodes."""
    if any(isinstance(n, Tensor) for n in nodes):
        weights = quadrature_weights(nodes)
        return y + h * sum(w * k for w, k in zip(weights, slopes, strict=True))
    return WeightedSum(_cached_weights(tuple(nodes))).advance(y, h, slopes)


def _snap(node: Any) -> Any:
    """A past time in units of h, from the newest: on a uniform grid an integer up to rounding,
    which is taken off.
    """
    if isinstance(node, float) and abs(node - round(node)) < 1e-9:
        return float(round(node))
    return node


def _adams(name: str, correct: bool) -> Method:
    def stepper(setup: Setup) -> Adams:
        return Adams(correct, setup.rtol, setup.atol, **setup.options.of_method)

    return Method(name, Adams.order, stepper, options=(*GRID, "max_iters", "max_order"))


ADAMS = (
    _adams("explicit_adams", correct=False),
    _adams("implicit_adams", correct=True),
    _adams("fixed_adams", correct=True),
)
