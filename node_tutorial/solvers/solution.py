"""What `solve` returns."""

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .integrate import Attempt, Stats
from .runge_kutta import Dense, Step, interpolate


@dataclass
class Solution:
    """The solution at the times asked for, what it cost, and, when recorded, every step and the
    solution in between.

    Attributes:
        t: the times, (T,), or (B, T) where every sample has its own.
        y: the states, (T, *y0.shape), or (B, T, *) with per-sample steps; a tuple of them for a
            tuple state.
        stats: `nfe` (evaluations of the field), `accepted` and `rejected` steps; with per-sample
            steps these two are tensors (B,). Of implicit methods also `jacobians`, `factorizations`
            and `newton` iterations.
        steps: every attempt (t, h, error_ratio, accepted) with `record=True`, else None.
    """

    t: Tensor
    y: Any
    stats: Stats
    steps: list[Attempt] | None = None
    _segments: list[tuple[float, float, Step]] | None = field(default=None, repr=False)
    _dense: Dense = field(default="cubic", repr=False)
    _unflatten: Callable[[Tensor], Tensor | tuple[Tensor, ...]] | None = field(
        default=None, repr=False
    )

    def __call__(self, t: float | Tensor) -> Tensor | tuple[Tensor, ...]:
        """The state at any time between t[0] and t[-1], by the method's dense output.

        Args:
            t: a number or 0-d tensor, giving a state; or (n,) times, giving (n, *y0.shape).

        Raises:
            ValueError: if the solve was not recorded, or t lies outside of it.
        """
        if self._segments is None:
            raise ValueError(
                "solution(t) needs the steps: call solve(..., record=True) (with one clock for "
                "all samples)"
            )
        times = torch.as_tensor(t, dtype=torch.float64).detach()
        ends = [end for _, end, _ in self._segments]
        direction = 1 if not ends or ends[-1] >= self._segments[0][0] else -1
        keys = [direction * end for end in ends]
        lo, hi = float(self.t[0]), float(self.t[-1])
        states = []
        for s in times.reshape(-1).tolist():
            if not min(lo, hi) <= s <= max(lo, hi):
                raise ValueError(
                    f"t = {s:.6g} lies outside of the solution, which runs from {lo:.6g} to "
                    f"{hi:.6g}"
                )
            if not ends or s == lo:
                states.append(self._segments[0][2].y0 if ends else self._first())
                continue
            begin, end, step = self._segments[
                min(bisect.bisect_left(keys, direction * s), len(ends) - 1)
            ]
            states.append(
                step.y1
                if s == end
                else interpolate(step, [(s - begin) / (end - begin)], self._dense)[0]
            )
        y = torch.stack(states) if times.dim() else states[0]
        return self._unflatten(y) if self._unflatten else y

    def _first(self) -> Tensor:
        y = (
            self.y
            if isinstance(self.y, Tensor)
            else torch.cat([part.reshape(len(part), -1) for part in self.y], 1)
        )
        return y[0]
